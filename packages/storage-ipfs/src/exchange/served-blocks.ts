import { CID } from 'multiformats/cid'
import type { Blockstore } from '../blockstore.ts'
import { gather, isCheckable } from '../checked-blockstore.ts'
import { type Message, noMessage, type WantEntry } from './message.ts'

/** Wants of one peer that wait for their answer; more are not answered. */
const maxWaiting = 4096
/** More than a CID that can be answered has. */
const maxCidBytes = 256
/** A message is full with so many bytes of blocks: one large block, or many small ones. */
const fullBytes = 512 * 1024
/** No message is larger, whatever the last block brings: it is the largest block there is. */
const mostBytes = 4 * 1024 * 1024
const fullEntries = 1024
/** Peers that are answered at the same time: what is loaded for them is held until it has left. */
const atOnce = 64

interface Wanted {
  readonly cid: CID
  readonly block: boolean
  readonly tellMissing: boolean
}

interface ServedBlocksParts {
  /** Checked on reading. */
  readonly blocks: Blockstore
  send(peer: string, message: Message): Promise<void>
}

/** Answers what peers ask for with what is held at that moment. */
export interface ServedBlocks {
  /** Throws where the wants make no sense. */
  wanted(peer: string, wants: readonly WantEntry[], all: boolean): void
  left(peer: string): void
  stop(): void
}

const varint = (value: number): number[] => (value < 0x80 ? [value] : [(value % 0x80) | 0x80, ...varint(Math.floor(value / 0x80))])

const prefixOf = (cid: CID): Uint8Array => Uint8Array.from([cid.version, cid.code, cid.multihash.code, cid.multihash.size].flatMap(varint))

export const servedBlocks = ({ blocks, send }: ServedBlocksParts): ServedBlocks => {
  const waiting = new Map<string, Map<string, Wanted>>()
  const answering = new Set<string>()
  const stopping = new AbortController()
  let turns: string[] = []

  /** The block, or nothing where it is not here; one that is damaged counts as not here. */
  const load = async (cid: CID): Promise<Uint8Array | undefined> => {
    const { signal } = stopping
    if (!isCheckable(cid) || !(await blocks.has(cid, { signal }))) return undefined
    try {
      return await gather(blocks.get(cid, { signal }), cid)
    } catch {
      return undefined
    }
  }

  const nextMessage = async (wants: Map<string, Wanted>): Promise<Message> => {
    const message = { ...noMessage, blocks: [] as Message['blocks'][number][], presences: [] as Message['presences'][number][] }
    let bytes = 0
    for (const [key, { cid, block, tellMissing }] of wants) {
      if (bytes >= fullBytes || message.blocks.length + message.presences.length >= fullEntries) break
      wants.delete(key)
      if (!block) {
        const has = isCheckable(cid) && (await blocks.has(cid, { signal: stopping.signal }))
        if (has || tellMissing) message.presences.push({ cid: cid.bytes, has })
        continue
      }
      const data = await load(cid)
      if (bytes > 0 && data !== undefined && bytes + data.byteLength > mostBytes) {
        wants.set(key, { cid, block, tellMissing })
        break
      }
      if (data !== undefined) {
        message.blocks.push({ prefix: prefixOf(cid), data })
        bytes += data.byteLength
      } else if (tellMissing) message.presences.push({ cid: cid.bytes, has: false })
    }
    return message
  }

  const answer = async (peer: string): Promise<void> => {
    // The next message is put together while one is on its way.
    let leaving: Promise<void> | undefined
    try {
      // Looked up each time: a peer that left has nothing more to get.
      for (let wants = waiting.get(peer); wants !== undefined && wants.size > 0; wants = waiting.get(peer)) {
        const message = await nextMessage(wants)
        await leaving
        leaving = message.blocks.length + message.presences.length > 0 ? send(peer, message) : undefined
        leaving?.catch(() => undefined)
        if (wants.size === 0) await leaving
      }
    } catch {
      // It does not take what it asked for, or this node stops.
      waiting.delete(peer)
    } finally {
      answering.delete(peer)
      const next = turns.shift()
      if (next !== undefined) begin(next)
    }
  }

  const begin = (peer: string): void => {
    if (stopping.signal.aborted || answering.has(peer)) return
    if (answering.size >= atOnce) {
      if (!turns.includes(peer)) turns.push(peer)
      return
    }
    answering.add(peer)
    void answer(peer)
  }

  return {
    wanted: (peer, wants, all) => {
      if (wants.length === 0 && !all) return
      const held = waiting.get(peer) ?? new Map<string, Wanted>()
      waiting.set(peer, held)
      if (all) held.clear()
      for (const { cid: bytes, block, tellMissing, cancel } of wants) {
        if (bytes.byteLength > maxCidBytes) throw new Error(`a CID of ${bytes.byteLength} bytes`)
        const cid = CID.decode(bytes)
        const key = cid.toString()
        if (cancel) held.delete(key)
        else if (held.size < maxWaiting) held.set(key, { cid, block, tellMissing })
      }
      begin(peer)
    },
    left: (peer) => {
      waiting.delete(peer)
      turns = turns.filter((one) => one !== peer)
    },
    stop: () => {
      stopping.abort()
      waiting.clear()
      turns = []
    },
  }
}
