export type { BlockOptions, Blockstore } from './blockstore.ts'
export { IpfsError, type IpfsErrorCode } from './ipfs-error.ts'
export { ipfsStorage, type IpfsStorage, type IpfsStorageOptions } from './ipfs-storage.ts'
