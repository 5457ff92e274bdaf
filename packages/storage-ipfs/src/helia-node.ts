import type { Helia } from '@helia/interface'
import type { CID } from 'multiformats/cid'
import { sha512 } from 'multiformats/hashes/sha2'
// The node of helia itself. The package's only export imports libp2p, bitswap and HTTP gateways beside it, and installs 300 to 450 MB: the build takes this
// module into dist instead (docs/decisions/2026-11-24-helia.md).
import { Helia as HeliaNode } from '../node_modules/helia/dist/src/helia.js'
import { name, version } from '../node_modules/helia/dist/src/version.js'
import type { BlockOptions, Blockstore } from './blockstore.ts'
import { checkedBlockstore, gather } from './checked-blockstore.ts'
import type { Stored } from './stored.ts'
import type { Write } from './writing-behind.ts'

export interface EmbeddedHelia {
  readonly helia: Helia
  /** Blocks of one file, of up to 1 MiB mostly, that are worth reading at the same time. */
  readonly blocksAhead: number
  /** What is held, checked on reading; a block that is not is `block-missing`, whatever brokers helia has. */
  readonly held: Blockstore
  /** What is held, and what block brokers give, each fetched for this session. */
  blocksFor(session: object): Blockstore
  /** Stores a file from its bytes, in pieces of any length, and holds a few chunks of it at a time. With `write` its blocks are written when that says so. */
  addFile(content: Iterable<Uint8Array> | AsyncIterable<Uint8Array>, signal: AbortSignal, write?: Write): Promise<Stored>
  addBlock(cid: CID, bytes: Uint8Array, signal: AbortSignal): Promise<void>
  /** The same node; before it writes a block that is not held, it asks. */
  asking(take: TakeBytes): EmbeddedHelia
}

/** Rejects where so many bytes more must not be written; resolves with what is called where they were not. */
type TakeBytes = (bytes: number) => Promise<() => void>

/** A helia over these blocks: no block brokers, no routers, no libp2p. Whoever wants a network adds them to `helia`. */
export const embedHelia = (blocks: Blockstore, blocksAhead: number): EmbeddedHelia => {
  const held = checkedBlockstore(blocks)
  const helia: Helia = new HeliaNode({ name, version, blockstore: held, hashers: [sha512] })

  /** helia does not write what it has; a block that a disk has damaged is replaced, so that publishing again heals it. */
  const heal = async (cid: CID, bytes: Uint8Array, signal: AbortSignal): Promise<void> => {
    const held = await gather(blocks.get(cid, { signal }), cid).catch(() => undefined)
    signal.throwIfAborted()
    if (held === undefined || !Buffer.from(held.buffer, held.byteOffset, held.byteLength).equals(bytes)) await blocks.put(cid, bytes, { signal })
  }

  const nodeThatAsks = (take: TakeBytes | undefined): EmbeddedHelia => {
    const addBlock = async (cid: CID, bytes: Uint8Array, signal: AbortSignal): Promise<void> => {
      signal.throwIfAborted()
      if (await blocks.has(cid, { signal })) return heal(cid, bytes, signal)
      const back = await take?.(bytes.byteLength)
      try {
        await helia.blockstore.put(cid, bytes, { signal })
      } catch (error) {
        back?.()
        throw error
      }
    }
    return {
      helia,
      blocksAhead,
      held,
      blocksFor: (session) => ({
        // helia hands what it does not know on to its brokers.
        get: (cid, options) => {
          const marked: BlockOptions = { ...options, session }
          return helia.blockstore.get(cid, marked)
        },
        has: (cid, options) => helia.blockstore.has(cid, options),
        put: (cid, bytes, options) => helia.blockstore.put(cid, bytes, options),
      }),
      addBlock,
      asking: nodeThatAsks,
      addFile: async (content, signal, write = (begin) => begin()) => {
        const put = async (cid: CID, bytes: Uint8Array | Iterable<Uint8Array> | AsyncIterable<Uint8Array>): Promise<CID> => {
          const block = bytes instanceof Uint8Array ? bytes : await gather(bytes, cid)
          await write(() => addBlock(cid, block, signal))
          return cid
        }
        // Loaded by the first publication: a node that only reads does without.
        const { storeFile } = await import('./file-store.ts')
        return storeFile(content, { get: (cid) => helia.blockstore.get(cid, { signal }), has: (cid) => helia.blockstore.has(cid, { signal }), put })
      },
    }
  }
  return nodeThatAsks(undefined)
}
