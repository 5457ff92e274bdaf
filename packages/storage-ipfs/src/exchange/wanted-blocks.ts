import { hash } from 'node:crypto'
import { CID } from 'multiformats/cid'
import { hashNameOf } from '../checked-blockstore.ts'
import { IpfsError } from '../ipfs-error.ts'
import type { Message, WantEntry } from './message.ts'
import { type Session, takingTurns } from './taking-turns.ts'

/**
 * Blocks that are waited for at the same time; others wait for their turn. A want whose peer gives something now and then may last as long as its job, so that a few could
 * hold all places: some are each session's own.
 */
const places = { own: 4, shared: 64 }

interface WantedBlocksParts {
  /** Tells a peer what is wanted, or no longer. Never throws: a peer that it does not reach is told by `unreached`. */
  ask(peer: string, entry: WantEntry): void
  /** How long a block is waited for, in milliseconds, when nothing that is wanted comes meanwhile. */
  readonly timeout: number
}

/** Gets blocks from peers: one is asked for the block itself, the others, where it has none or is slow, only whether they have it. */
export interface WantedBlocks {
  /** The bytes of a block, which are those of its CID. Wants of one block share it; each signal only ends its own. */
  want(cid: CID, session: Session, signal: AbortSignal): Promise<Uint8Array>
  joined(peer: string): void
  /** What it was asked did not reach it. */
  unreached(peer: string): void
  /** A stream of it broke off, with what was asked or answered on it: it is asked again, once for each want. */
  broken(peer: string): void
  left(peer: string): void
  /** Throws where the message makes no sense. */
  received(peer: string, message: Message): void
  stop(reason: Error): void
}

/** What is known of a peer and a block. `slow`: asked for the block, and has given nothing that was wanted for a while. */
type Standing = 'asked-whether' | 'has' | 'asked' | 'slow' | 'lacks'

interface Want {
  readonly cid: CID
  readonly key: string
  readonly result: PromiseWithResolvers<Uint8Array>
  readonly peers: Map<string, Standing>
  /** Who was asked a second time. */
  readonly again: Set<string>
  takers: number
  /** Connections that were just made have had time to become known. */
  settled: boolean
  readonly timers: Set<NodeJS.Timeout>
}

const keyOf = (code: number, digest: Uint8Array): string => `${code}:${Buffer.from(digest).toString('base64')}`

/** The code of the hash function in a prefix: the third number. */
const hashCodeOf = (prefix: Uint8Array): number => {
  const numbers: number[] = []
  let value = 0
  let shift = 0
  for (const byte of prefix.subarray(0, 32)) {
    value += (byte & 0x7f) * 2 ** shift
    shift += 7
    if (byte >= 0x80) continue
    numbers.push(value)
    value = 0
    shift = 0
  }
  return numbers[2] ?? -1
}

export const wantedBlocks = ({ ask, timeout }: WantedBlocksParts): WantedBlocks => {
  /** How much of what was wanted each peer has given: by it, who is alive is told from who is silent. */
  const given = new Map<string, number>()
  /** Peers by when they gave something last, the latest at the end. */
  const givers = new Set<string>()
  const wants = new Map<string, Want>()
  const turns = takingTurns(places)

  const after = (want: Want, milliseconds: number, then: () => void): void => {
    const timer = setTimeout(() => {
      want.timers.delete(timer)
      then()
    }, milliseconds)
    want.timers.add(timer)
  }

  const tell = (want: Want, peer: string, how: { readonly block: boolean; readonly cancel: boolean }) =>
    ask(peer, { cid: want.cid.bytes, tellMissing: !how.cancel, ...how })

  /** Nothing more is expected for it; whoever may still answer is told so. */
  const close = (want: Want): void => {
    wants.delete(want.key)
    for (const timer of want.timers) clearTimeout(timer)
    for (const [peer, standing] of want.peers) if (standing === 'asked' || standing === 'slow') tell(want, peer, { block: true, cancel: true })
  }

  const fail = (want: Want, why: string): void => {
    close(want)
    want.result.reject(new IpfsError('block-unreachable', `block ${want.cid} is not held here, and ${why}`))
  }

  const sinceOf = (want: Want): number => {
    let sum = 0
    for (const [peer, standing] of want.peers) if (standing === 'asked' || standing === 'slow') sum += given.get(peer) ?? 0
    return sum
  }

  /** Ends a want that nothing comes of. A peer that gives other blocks meanwhile is busy, not silent. */
  const expire = (want: Want, before: number): void =>
    after(want, timeout, () => {
      const now = sinceOf(want)
      if (now !== before) expire(want, now)
      else fail(want, `no connected peer gave it within ${timeout} ms`)
    })

  /** Asks others too when the peer that was asked for the block gives nothing for a while. */
  const suspect = (want: Want, peer: string): void => {
    const before = given.get(peer)
    after(want, timeout / 5, () => {
      if (want.peers.get(peer) !== 'asked') return
      if (given.get(peer) !== before) {
        suspect(want, peer)
        return
      }
      want.peers.set(peer, 'slow')
      givers.delete(peer)
      advance(want)
    })
  }

  const askFor = (want: Want, peer: string): void => {
    want.peers.set(peer, 'asked')
    tell(want, peer, { block: true, cancel: false })
    suspect(want, peer)
  }

  const advance = (want: Want): void => {
    if (!wants.has(want.key)) return
    const standings = [...want.peers.values()]
    if (standings.includes('asked')) return
    // The more have said that they have it and gave nothing, the more are asked at once: they may all be of one mind.
    const slow = standings.filter((standing) => standing === 'slow').length
    const holders = [...want.peers.entries().filter(([, standing]) => standing === 'has')].slice(0, Math.max(1, 2 * slow))
    for (const [peer] of holders) askFor(want, peer)
    if (holders.length > 0) return
    for (const peer of given.keys()) {
      if (want.peers.has(peer)) continue
      want.peers.set(peer, 'asked-whether')
      tell(want, peer, { block: false, cancel: false })
    }
    const open = [...want.peers.values()].some((standing) => standing !== 'lacks')
    if (!open && want.settled) fail(want, given.size === 0 ? 'no peer that exchanges blocks is connected' : `none of ${given.size} connected peers has it`)
  }

  const begin = (cid: CID, key: string): Want => {
    const want: Want = { cid, key, result: Promise.withResolvers(), peers: new Map(), again: new Set(), takers: 0, settled: false, timers: new Set() }
    wants.set(key, want)
    want.result.promise.catch(() => undefined)
    // Whoever gave something last is likely to have the rest of it. Where nobody did, one is tried, and all are asked whether they have it.
    const known = [...givers].at(-1)
    const first = known ?? given.keys().next().value
    if (known === undefined) {
      for (const peer of given.keys()) {
        if (peer === first) continue
        want.peers.set(peer, 'asked-whether')
        tell(want, peer, { block: false, cancel: false })
      }
    }
    if (first !== undefined) askFor(want, first)
    expire(want, sinceOf(want))
    after(want, timeout / 10, () => {
      want.settled = true
      advance(want)
    })
    return want
  }

  const taken = async (cid: CID, signal: AbortSignal): Promise<Uint8Array> => {
    const key = keyOf(cid.multihash.code, cid.multihash.digest)
    const want = wants.get(key) ?? begin(cid, key)
    want.takers += 1
    const ended = Promise.withResolvers<never>()
    const end = () => ended.reject(signal.reason)
    signal.addEventListener('abort', end)
    try {
      return await Promise.race([want.result.promise, ended.promise])
    } finally {
      signal.removeEventListener('abort', end)
      want.takers -= 1
      if (want.takers === 0 && wants.get(key) === want) close(want)
    }
  }

  const gave = (peer: string): void => {
    given.set(peer, (given.get(peer) ?? 0) + 1)
    givers.delete(peer)
    givers.add(peer)
  }

  const receivedBlock = (peer: string, prefix: Uint8Array, data: Uint8Array): void => {
    const code = hashCodeOf(prefix)
    const name = hashNameOf(code)
    if (name === undefined) return
    // What was not asked for has no want, whatever it calls itself: the key is made of the bytes that came.
    const want = wants.get(keyOf(code, hash(name, data, 'buffer')))
    if (want === undefined) return
    want.peers.delete(peer)
    close(want)
    gave(peer)
    want.result.resolve(data)
  }

  return {
    want: async (cid, session, signal) => {
      signal.throwIfAborted()
      const leave = await turns.next(session, signal)
      try {
        return await taken(cid, signal)
      } finally {
        leave()
      }
    },

    joined: (peer) => {
      if (given.has(peer)) return
      given.set(peer, 0)
      for (const want of wants.values()) advance(want)
    },

    unreached: (peer) => {
      for (const want of [...wants.values()]) {
        if (!want.peers.has(peer)) continue
        want.peers.set(peer, 'lacks')
        advance(want)
      }
    },

    broken: (peer) => {
      for (const want of wants.values()) {
        const standing = want.peers.get(peer)
        if (standing === undefined || standing === 'has' || standing === 'lacks' || want.again.has(peer)) continue
        want.again.add(peer)
        tell(want, peer, { block: standing !== 'asked-whether', cancel: false })
      }
    },

    left: (peer) => {
      given.delete(peer)
      givers.delete(peer)
      for (const want of [...wants.values()]) {
        want.peers.delete(peer)
        advance(want)
      }
    },

    received: (peer, { blocks, presences }) => {
      // A peer that nothing is asked of costs no hashing.
      for (const { prefix, data } of blocks) if (wants.size > 0) receivedBlock(peer, prefix, data)
      for (const { cid, has } of presences) {
        const { code, digest } = CID.decode(cid).multihash
        const want = wants.get(keyOf(code, digest))
        if (want === undefined || !want.peers.has(peer)) continue
        if (!has) want.peers.set(peer, 'lacks')
        else if (want.peers.get(peer) === 'asked-whether') want.peers.set(peer, 'has')
        advance(want)
      }
    },

    stop: (reason) => {
      for (const want of [...wants.values()]) {
        close(want)
        want.result.reject(reason)
      }
    },
  }
}
