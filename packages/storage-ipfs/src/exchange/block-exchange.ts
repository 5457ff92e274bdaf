import type { Connection, Libp2p, PeerId, Stream } from '@libp2p/interface'
import type { CID } from 'multiformats/cid'
import type { BlockOptions, Blockstore } from '../blockstore.ts'
import { bitswapProtocol, type Message, messageReader, noMessage, receiveBudget, type WantEntry } from './message.ts'
import { peerSender, type Sender } from './sender.ts'
import { servedBlocks } from './served-blocks.ts'
import { type WantedBlocks, wantedBlocks } from './wanted-blocks.ts'

/** What is used of a libp2p node. */
export type BlockPeers = Pick<Libp2p, 'handle' | 'unhandle' | 'getConnections' | 'addEventListener' | 'removeEventListener'>

export interface BlockExchange {
  /** A block that peers have, checked against its CID. Rejects with `block-unreachable` when none gives it, in bounded time. */
  retrieve(cid: CID, options?: BlockOptions): Promise<Uint8Array>
  start(): Promise<void>
  stop(): Promise<void>
}

interface BlockExchangeOptions {
  readonly libp2p: BlockPeers
  /** What peers are given of: only what is held, checked on reading. */
  readonly blocks: Blockstore
  readonly timeout: number
}

/** What has come of messages that are not whole, of all peers. */
const receiveBytes = 128 * 1024 * 1024
/** A peer needs one stream; others open one for each message. */
const streamsOfPeer = 32
/** A message that takes longer, on its way out or in, ends its stream. */
const messageTimeout = 30_000
/** How long a peer that does not exchange blocks is left alone, unless it begins to. */
const quietMs = 10_000

/** The session of those that name none. */
const nobody = {}

interface Peer {
  readonly asks: Sender
  readonly answers: Sender
  /** What it is to be asked with the next message. */
  entries: WantEntry[]
}

/** Gets blocks from the peers of a libp2p node, and gives them those that are held, by bitswap 1.2.0. It dials nobody. */
export const blockExchange = ({ libp2p, blocks, timeout }: BlockExchangeOptions): BlockExchange => {
  let running: { readonly stop: () => Promise<void>; readonly want: WantedBlocks['want'] } | undefined

  const begin = async () => {
    const peers = new Map<string, Peer>()
    const ids = new Map<string, PeerId>()
    const budget = receiveBudget(receiveBytes)
    const streams = new Set<Stream>()

    const connectionTo = (peer: string): Connection | undefined => {
      const id = ids.get(peer)
      return id === undefined ? undefined : libp2p.getConnections(id).find(({ status, limits }) => status === 'open' && limits === undefined)
    }

    const peerOf = (id: PeerId): Peer => {
      const name = id.toString()
      const known = peers.get(name)
      if (known !== undefined) return known
      ids.set(name, id)
      const options = { connection: () => connectionTo(name), timeout: messageTimeout }
      const peer: Peer = { asks: peerSender({ ...options, onReset: () => wanted.broken(name) }), answers: peerSender(options), entries: [] }
      peers.set(name, peer)
      return peer
    }

    const askAll = (name: string, peer: Peer): void => {
      const wants = peer.entries
      peer.entries = []
      peer.asks.send({ ...noMessage, wants }).catch((error: unknown) => {
        wanted.unreached(name)
        if (!(error instanceof Error) || error.name !== 'UnsupportedProtocolError') return
        wanted.left(name)
        setTimeout(() => {
          if (peers.get(name) === peer) wanted.joined(name)
        }, quietMs).unref()
      })
    }

    const wanted = wantedBlocks({
      timeout,
      ask: (name, entry) => {
        const peer = peers.get(name)
        if (peer === undefined) return
        // What is asked within one pass of the event loop leaves in one message.
        if (peer.entries.length === 0) setImmediate(askAll, name, peer)
        peer.entries.push(entry)
      },
    })
    const served = servedBlocks({
      blocks,
      send: async (name, message) => {
        const peer = peers.get(name)
        if (peer === undefined) throw new Error('the peer has left')
        await peer.answers.send(message)
      },
    })

    const join = (id: PeerId): string => {
      const name = id.toString()
      peerOf(id)
      wanted.joined(name)
      return name
    }

    const take = (id: PeerId, message: Message): void => {
      // The last words of a peer that has left.
      if (libp2p.getConnections(id).length === 0) return
      const name = join(id)
      served.wanted(name, message.wants, message.all)
      wanted.received(name, message)
    }

    const listen = (stream: Stream, connection: Connection): void => {
      const reader = messageReader(budget)
      let late: NodeJS.Timeout | undefined
      streams.add(stream)
      const abort = (error: unknown) => stream.abort(error instanceof Error ? error : new Error(String(error)))
      stream.addEventListener('close', ({ error }) => {
        clearTimeout(late)
        streams.delete(stream)
        reader.close()
        // An answer may have been on it.
        if (error !== undefined) wanted.broken(connection.remotePeer.toString())
      })
      stream.addEventListener('message', ({ data }) => {
        try {
          for (const message of reader.push(data instanceof Uint8Array ? data : data.subarray())) {
            clearTimeout(late)
            late = undefined
            take(connection.remotePeer, message)
          }
          if (reader.partial()) late ??= setTimeout(abort, messageTimeout, new Error('a message took too long')).unref()
        } catch (error) {
          abort(error)
        }
      })
      // Answers go by a stream of our own.
      stream.close().catch(abort)
    }

    // Who exchanges blocks is found out by asking: what a peer has told of itself may be older than its storage.
    const connected = ({ detail: id }: CustomEvent<PeerId>): void => void join(id)

    const leave = ({ detail: id }: CustomEvent<PeerId>): void => {
      const name = id.toString()
      const peer = peers.get(name)
      if (peer === undefined) return
      peers.delete(name)
      ids.delete(name)
      served.left(name)
      wanted.left(name)
      peer.asks.close()
      peer.answers.close()
    }

    await libp2p.handle(bitswapProtocol, listen, { maxInboundStreams: streamsOfPeer, maxOutboundStreams: streamsOfPeer })
    libp2p.addEventListener('peer:disconnect', leave)
    libp2p.addEventListener('peer:connect', connected)
    for (const { remotePeer } of libp2p.getConnections()) join(remotePeer)

    return {
      want: wanted.want,
      stop: async () => {
        const stopped = new Error('the block exchange was stopped')
        libp2p.removeEventListener('peer:disconnect', leave)
        libp2p.removeEventListener('peer:connect', connected)
        await libp2p.unhandle(bitswapProtocol)
        wanted.stop(stopped)
        served.stop()
        for (const { asks, answers } of peers.values()) {
          asks.close()
          answers.close()
        }
        for (const stream of streams) stream.abort(stopped)
      },
    }
  }

  return {
    retrieve: async (cid, options) => {
      if (running === undefined) throw new Error('the block exchange is not started')
      return await running.want(cid, options?.session ?? nobody, options?.signal ?? new AbortController().signal)
    },
    start: async () => {
      running ??= await begin()
    },
    stop: async () => {
      const stopping = running
      running = undefined
      await stopping?.stop()
    },
  }
}
