import { createHash } from 'node:crypto'
import { type AnyMessage, admit, decodeMessage, executionId, type Incarnation, ProtocolError, slotKey, slotOf } from '@skrei/protocol'
import type { Data, Reader, Row, StateStore } from '@skrei/state-store'
import type { Rejection } from '@skrei/transport'
import type { KernelEvent, ObjectEvent } from './kernel/event.ts'
import type { ComputeContext } from './machines/compute-execution.ts'
import type { ExecutionContext } from './machines/execution.ts'
import type { ShardContext } from './machines/shard.ts'
import type { Logger, SchedulerOptions } from './options.ts'
import type { Settings } from './settings.ts'

export interface InboxWorld {
  readonly network: string
  readonly self: string
  readonly check: SchedulerOptions['check']
  readonly store: StateStore
  readonly settings: Settings
  /** Whether this node takes asks. */
  readonly computes: boolean
  readonly logger: Logger
}

export interface Inbox {
  /**
   * The events that a frame of messages stands for. What is repeated or not the sender's to say stands for none; what cannot be understood or is not
   * for this node is among the `rejections`, with a code. `applied` is called once they are durable: only then are their slots filled.
   */
  read(
    from: string,
    frame: readonly Uint8Array[],
  ): { readonly events: readonly KernelEvent[]; readonly rejections: readonly Rejection[]; readonly applied: () => void }
}

/** How many filled slots are remembered, to tell repetition from equivocation. */
const slotsKept = 20_000
/** Of one frame: an honest sender has fewer messages in one. */
const mostRejections = 1024
const longestReason = 256
/** Messages of a verification: no method of this release asks for them. */
const unserved: ReadonlySet<string> = new Set(['commit', 'receipt', 'open', 'open-refused', 'reveal', 'abstain'])

/** From bytes to events: the only place where what a peer says enters the node. */
export const createInbox = (world: InboxWorld): Inbox => {
  const slots = new Map<string, string>()

  const fill = (key: string, content: string): void => {
    slots.set(key, content)
    const oldest = slots.size > slotsKept ? slots.keys().next().value : undefined
    if (oldest !== undefined) slots.delete(oldest)
  }

  /** The slot was filled before. Other bytes of the same incarnation are an equivocation; a restarted peer may say the same in other bytes. */
  const repeated = (message: AnyMessage, key: string, content: string): boolean => {
    const before = slots.get(key)
    if (before === undefined) return false
    const ofThisIncarnation = before.startsWith(`${message.incarnation.counter} `)
    if (before !== content && ofThisIncarnation)
      world.logger.warn('a peer filled a slot twice with different bytes: nothing changes', { slot: key, from: message.from })
    return before === content || ofThisIncarnation
  }

  /** The message, for this node and something that it does; or a ProtocolError, whose code goes back to the sender. */
  const decode = (from: string, bytes: Uint8Array): AnyMessage => {
    const message = decodeMessage(bytes, { network: world.network, self: world.self, from, check: world.check })
    if (unserved.has(message.type) || (message.type === 'ask' && !world.computes))
      throw new ProtocolError('unsupported-message', `this node takes no ${message.type}`)
    return message
  }

  return {
    read: (from, frame) => {
      const events: KernelEvent[] = []
      const filled: [string, string][] = []
      const take = (bytes: Uint8Array): void => {
        const message = decode(from, bytes)
        const key = slotKey(slotOf(message))
        const content = `${message.incarnation.counter} ${createHash('sha256').update(bytes).digest('base64')}`
        const peer = admitted(world, from, message.incarnation)
        if (repeated(message, key, content)) return
        const event = world.store.read((reader) => eventOf(world, reader, message))
        if (event === undefined) {
          world.logger.debug('a message concerns nothing of the sender', { from, type: message.type })
          return
        }
        filled.push([key, content])
        events.push({ ...event, actor: from, ...(peer !== 'known' && { records: [peer] }) })
      }
      const rejections: Rejection[] = []
      frame.forEach((bytes, index) => {
        try {
          take(bytes)
        } catch (error) {
          if (!(error instanceof ProtocolError)) throw error
          if (rejections.length < mostRejections) rejections.push({ index, code: error.code, reason: error.message.slice(0, longestReason) })
        }
      })
      const [first] = rejections
      if (first) world.logger.warn('messages were refused', { from, messages: rejections.length, code: first.code, reason: first.reason })
      return {
        events,
        rejections,
        applied: () => {
          for (const [key, content] of filled) fill(key, content)
        },
      }
    },
  }
}

/**
 * A peer that restarted is written down; one that is at once two is refused (PROTOCOL.md rule 6). A message of an older incarnation is not: its bytes were
 * fixed before the restart, and it is re-sent as it was (rule 5).
 */
const admitted = (world: InboxWorld, from: string, seen: Incarnation): 'known' | Row => {
  const row = world.store.read((reader) => reader.get('peer', from))
  const admission = admit(row?.data as unknown as Incarnation | undefined, seen)
  if (admission === 'same' || admission === 'stale') return 'known'
  if (admission === 'new') return { kind: 'peer', id: from, state: 'known', open: true, version: (row?.version ?? 0) + 1, data: seen as unknown as Data }
  throw new ProtocolError('duplicate-identity', `two nodes speak as ${from}, both in their start number ${seen.counter}`)
}

type Addressed = Pick<KernelEvent, 'kind' | 'id' | 'event'>

const eventOf = (world: InboxWorld, reader: Reader, message: AnyMessage): Addressed | undefined => {
  const { from, body, type } = message
  switch (type) {
    case 'ask': {
      const id = executionId({ network: world.network, requester: from, compute: world.self, askId: message.body.askId, index: message.body.shard.index })
      return { kind: 'compute', id, event: { type: 'ask', context: computeContext(world.settings, id, from, message.body) } }
    }
    case 'bid':
    case 'decline': {
      // The ask's id is the shard's and the round's; the shard itself knows whom it asked.
      const cut = message.body.askId.lastIndexOf('/')
      const id = message.body.askId.slice(0, Math.max(0, cut))
      const shard = id === '' ? undefined : (reader.get('shard', id)?.data as unknown as ShardContext | undefined)
      // Whoever was not asked is no party to it, and leaves nothing (PROTOCOL.md rule 13); whom it has let go was told so.
      if (!shard?.asked.some(({ node, askId }) => node === from && askId === message.body.askId)) return undefined
      return { kind: 'shard', id, event: { ...body, type, node: from } }
    }
    case 'award':
    case 'release':
    case 'stop':
    case 'verdict':
    case 'superseded':
    case 'settle': {
      const { execution } = message.body
      const context = reader.get('compute', execution)?.data as unknown as ComputeContext | undefined
      // `stop` and `award` of something unknown get an answer; it goes to whoever asked.
      if (context !== undefined && context.requester !== from) return undefined
      return { kind: 'compute', id: execution, event: { ...body, type, from } }
    }
    case 'awarded':
    case 'refused':
    case 'finished':
    case 'published':
    case 'publish-failed':
    case 'stopped': {
      const { execution } = message.body
      const context = reader.get('execution', execution)?.data as unknown as ExecutionContext | undefined
      if (context?.node !== from) return undefined
      return { kind: 'execution', id: execution, event: { ...body, type } as ObjectEvent }
    }
    default:
      return undefined
  }
}

const computeContext = (settings: Settings, id: string, requester: string, ask: Extract<AnyMessage, { type: 'ask' }>['body']): ComputeContext => ({
  id,
  requester,
  askId: ask.askId,
  job: ask.job,
  task: ask.task,
  shard: { index: ask.shard.index, count: ask.shard.count, manifest: ask.shard.manifest, ...(ask.shard.files && { files: ask.shard.files }) },
  // What a requester may ask of this node ends where this node says.
  terms: {
    ...ask.terms,
    queue: Math.min(ask.terms.queue, settings.longestQueue),
    publish: Math.min(ask.terms.publish, settings.publish),
    retention: Math.min(ask.terms.retention, settings.retention),
  },
  times: { assess: settings.assess, bidTtl: settings.bidTtl, stage: settings.stage, grace: settings.stop, stop: settings.stop },
  devices: [],
})
