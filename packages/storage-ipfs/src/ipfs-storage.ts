import type { Helia } from '@helia/interface'
import type { AbortOptions, Publisher, Source } from '@skrei/storage'
import { addedBytes } from './added-bytes.ts'
import { type Additions, additions } from './additions.ts'
import { type Blockstore, fsBlockstore } from './blockstore.ts'
import type { BlockExchange, BlockPeers } from './exchange/block-exchange.ts'
import type { EmbeddedHelia } from './helia-node.ts'
import { IpfsError } from './ipfs-error.ts'
import { ipfsPublisher } from './ipfs-publisher.ts'
import { ipfsSource } from './ipfs-source.ts'
import type { OpenOperation } from './open-operation.ts'
import { publications } from './publications.ts'

export interface IpfsStorageOptions {
  /** Holds blocks and what was published under which id; made by `start`. Any number of processes may share it. */
  readonly directory: string
  /** Used by helia in place of the blocks under `directory`; asked for what it holds only. The caller starts and stops it. */
  readonly blockstore?: Blockstore
  /** The most links that are followed in one tree, and files and directories that are published in one. Default 1,000,000. */
  readonly maxEntries?: number
  /** The most bytes that one `fetch` writes. Default 64 GiB. */
  readonly maxFetchBytes?: number
  /** The most bytes that `add` and `addDirectory` store, all together and over restarts: what is more is `storage-full`. A block counts 4 KiB at least, one that is held already nothing. Default 64 GiB. */
  readonly maxAddedBytes?: number
  /** What they leave free on the disk, else it is `storage-full`. Default 1 GiB. */
  readonly keepFreeBytes?: number
  /** Flush each block to the disk, so that what was published survives a power cut. Default true; a crash of the process loses nothing either way. */
  readonly sync?: boolean
  /**
   * Blocks that are not held come from the peers of this node, by bitswap, and are kept; peers get any block that is held. Whoever made it starts and stops it, before or after the storage. Without it the
   * storage reaches nobody.
   */
  readonly libp2p?: BlockPeers
  /** How long a block is waited for, in milliseconds, while its peer gives nothing else that is wanted. Default 10,000. */
  readonly blockTimeout?: number
}

/** Source and publisher of type `ipfs`, over an embedded helia. Opens no port, and reaches nobody but the peers of the libp2p node that it is given. */
export interface IpfsStorage extends Additions, AsyncDisposable {
  readonly source: Source
  readonly publisher: Publisher
  /** The node that stores and reads all blocks: made by the first `start`, kept until the end. It has no routers, and no block broker but bitswap where `libp2p` was given. */
  readonly helia: Helia
  /** The blocks below helia, neither checked on reading nor healed on writing. */
  readonly blockstore: Blockstore
  start(options?: AbortOptions): Promise<void>
  /** Ends what is under way; nothing can be used until the next `start`. */
  stop(): Promise<void>
}

/**
 * Stages inputs from IPFS and publishes results to it. Content has the CIDs that kubo and helia give it under the profile `unixfs-v1-2025`.
 *
 * @example
 * await using storage = ipfsStorage({ directory: '/var/lib/skrei/ipfs' })
 * await storage.start()
 * const { cid } = await storage.publisher.publish('job-1', '/tmp/results', {})
 */
export const ipfsStorage = (options: IpfsStorageOptions): IpfsStorage => {
  const { directory, maxEntries = 1_000_000, maxFetchBytes = 64 * 1024 ** 3, sync = true, libp2p, blockTimeout = 10_000 } = options
  const { maxAddedBytes = 64 * 1024 ** 3, keepFreeBytes = 1024 ** 3 } = options
  const own = fsBlockstore({ directory, sync })
  const blockstore = options.blockstore ?? own
  const published = publications({ directory, sync })
  const added = addedBytes({ directory, sync, maxAddedBytes, keepFreeBytes })
  let node: EmbeddedHelia | undefined
  let running: AbortController | undefined
  let exchange: BlockExchange | undefined

  const notStarted = () => new IpfsError('not-started', 'the ipfs storage is not started: call start() first')

  const open: OpenOperation = (operation) => {
    operation?.signal?.throwIfAborted()
    if (running === undefined || node === undefined) throw notStarted()
    const signal = operation?.signal === undefined ? running.signal : AbortSignal.any([operation.signal, running.signal])
    return { node, signal, blocks: node.blocksFor({}) }
  }

  const stop = async (): Promise<void> => {
    running?.abort(new IpfsError('not-started', 'the ipfs storage was stopped'))
    running = undefined
    await exchange?.stop()
    if (node?.helia.status === 'started') await node.helia.stop()
  }

  return {
    source: ipfsSource({ open, maxEntries }),
    publisher: ipfsPublisher({ open, published, maxEntries, maxFetchBytes }),
    ...additions({ open, added, maxEntries }),
    blockstore,
    get helia() {
      if (node === undefined) throw notStarted()
      return node.helia
    },
    start: async (operation) => {
      operation?.signal?.throwIfAborted()
      if (blockstore === own) await own.start()
      await published.start()
      await added.start()
      // Loaded here: helia and what it needs are some 300 modules, and a node may never use IPFS.
      const { embedHelia } = await import('./helia-node.ts')
      node ??= embedHelia(blockstore, libp2p === undefined ? 4 : 16)
      if (node.helia.status === 'stopped') await node.helia.start()
      if (libp2p !== undefined && exchange === undefined) {
        const { blockExchange } = await import('./exchange/block-exchange.ts')
        exchange = blockExchange({ libp2p, blocks: node.held, timeout: blockTimeout })
        node.helia.addBlockBroker({ name: 'bitswap', retrieve: exchange.retrieve })
      }
      await exchange?.start()
      running ??= new AbortController()
    },
    stop,
    [Symbol.asyncDispose]: stop,
  }
}
