import { hash } from 'node:crypto'
import { type AnyMessage, decodeMessage, executionId, ProtocolError } from '@skrei/protocol'
import type { Reader, StateStore } from '@skrei/state-store'
import type { Rejection } from '@skrei/transport'
import type { AskLimit } from './compute/ask-limit.ts'
import type { KernelEvent, ObjectEvent } from './kernel/event.ts'
import { slotIn } from './kernel/slots.ts'
import { type ComputeContext, isVerifiedHere } from './machines/compute-execution.ts'
import { type ExecutionContext, isVerified } from './machines/execution.ts'
import type { ShardContext } from './machines/shard.ts'
import type { Logger, SchedulerOptions } from './options.ts'
import type { Peers } from './peers.ts'
import { jobOf } from './requester/facts.ts'
import type { Specs } from './requester/specs.ts'
import type { Settings } from './settings.ts'

export interface InboxWorld {
  readonly network: string
  readonly self: string
  readonly check: SchedulerOptions['check']
  readonly store: StateStore
  readonly specs: Specs
  readonly peers: Peers
  readonly settings: Settings
  /** Whether this node takes asks. */
  readonly computes: boolean
  readonly asks: AskLimit
  readonly logger: Logger
}

export interface Inbox {
  /**
   * The events that a frame of messages stands for. What is not the sender's to say stands for none; what is repeated is found out by the kernel; what cannot be
   * understood or is not for this node is among the `rejections`, with a code.
   */
  read(from: string, frame: readonly Uint8Array[]): { readonly events: readonly KernelEvent[]; readonly rejections: readonly Rejection[] }
}

/** Of one frame: an honest sender has fewer messages in one. */
const mostRejections = 1024
const longestReason = 256
/** Messages of a verification: no method of this release asks for them. */
const unserved: ReadonlySet<string> = new Set(['commit', 'receipt', 'open', 'open-refused', 'reveal', 'abstain'])

/** From bytes to events: the only place where what a peer says enters the node. */
export const createInbox = (world: InboxWorld): Inbox => {
  /** The message, for this node and something that it does; or a ProtocolError, whose code goes back to the sender. */
  const decode = (from: string, bytes: Uint8Array): AnyMessage => {
    const message = decodeMessage(bytes, {
      network: world.network,
      self: world.self,
      from,
      check: world.check,
      verified: (said) => isVerifiedMessage(world, said),
    })
    if (unserved.has(message.type) || (message.type === 'ask' && !world.computes))
      throw new ProtocolError('unsupported-message', `this node takes no ${message.type}`)
    return message
  }

  return {
    read: (from, frame) => {
      const events: KernelEvent[] = []
      const take = (bytes: Uint8Array): void => {
        const message = decode(from, bytes)
        const peer = world.peers.message(from, message.incarnation)
        const event = world.store.read((reader) => eventOf(world, reader, message))
        if (event === undefined) {
          world.logger.debug('a message concerns nothing of the sender', { from, type: message.type })
          return
        }
        const fills = { slot: slotIn(event.id, message), digest: digestOf(message) }
        events.push({ ...event, fills, actor: from, ...(peer && { records: [peer] }) })
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
      return { events, rejections }
    },
  }
}

/** Whether a message is about an execution that is verified: one of this node's own must be known, or nothing comes of the message. */
const isVerifiedMessage = (world: InboxWorld, message: AnyMessage): boolean => {
  const { type } = message
  return world.store.read((reader) => {
    switch (type) {
      case 'bid': {
        const shard = shardOf(message.body.askId)
        const known = shard !== '' && reader.get('shard', shard)?.open === true
        return known && world.specs.get(reader, jobOf(shard)).resolved.verification.method !== 'none'
      }
      case 'published': {
        const row = reader.get('execution', message.body.execution)
        return row !== undefined && isVerified(row.data as unknown as ExecutionContext)
      }
      case 'award':
      case 'verdict':
      case 'stop': {
        const row = reader.get('compute', message.body.execution)
        return row !== undefined && isVerifiedHere(row.data as unknown as ComputeContext)
      }
      default:
        return true
    }
  })
}

/** The ask's id is the shard's and the round's. */
const shardOf = (askId: string): string => askId.slice(0, Math.max(0, askId.lastIndexOf('/')))

/** Of what is said. Not of the envelope: a peer whose store was lost or set back says the same again as a newer incarnation. */
const digestOf = ({ body }: AnyMessage): string => hash('sha256', JSON.stringify(body), 'base64url').slice(0, 22)

type Addressed = Pick<KernelEvent, 'kind' | 'id' | 'event'>

const eventOf = (world: InboxWorld, reader: Reader, message: AnyMessage): Addressed | undefined => {
  const { from, body, type } = message
  switch (type) {
    case 'ask': {
      const id = executionId({ network: world.network, requester: from, compute: world.self, askId: message.body.askId, index: message.body.shard.index })
      // One that is repeated is none more. This node does not limit itself.
      if (from !== world.self && !world.asks.take(from) && reader.get('compute', id) === undefined)
        return { kind: 'compute', id, event: { type: 'too-many-asks', from, askId: message.body.askId, retryAfter: world.asks.retryAfter(message.body.askId) } }
      return { kind: 'compute', id, event: { type: 'ask', context: computeContext(world.settings, id, from, message.body) } }
    }
    case 'bid':
    case 'decline': {
      // The shard itself knows whom it asked.
      const id = shardOf(message.body.askId)
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
    // The requester waits longer, by its clock; this one may run slow.
    publish: Math.min(ask.terms.publish, settings.publish) * (1 - settings.drift),
    retention: Math.min(ask.terms.retention, settings.retention),
  },
  times: { assess: settings.assess, bidTtl: settings.bidTtl, stage: settings.stage, grace: settings.stop, stop: settings.stop },
  devices: [],
})
