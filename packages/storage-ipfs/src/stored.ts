import type { CID } from 'multiformats/cid'

/** A part of a tree that is stored: `treeBytes` counts its block and all that hangs from it. */
export interface Stored {
  readonly cid: CID
  readonly treeBytes: number
}
