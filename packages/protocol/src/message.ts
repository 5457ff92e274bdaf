import { capacitySchema, deviceSchema, failureSchema, fileEntrySchema, publisherSchema, referenceSchema, refusalSchema, selectorSchema, taskSchema, usageSchema } from '@skrei/job-spec'
import * as z from 'zod'

/** The version of every message below; part of the signed bytes and of the transport's protocol names. */
export const protocolVersion = 1

const id = z.string().min(1).max(256)
const nodeId = z.string().min(1).max(128)
const digest = z.string().regex(/^[0-9a-f]{64}$/)
const cid = z.string().min(1).max(256)
const duration = z.number().nonnegative()
const count = z.int().nonnegative()
const round = z.int().nonnegative()
const bytes = z.instanceof(Uint8Array)

/** Each start of a node has a new one: `counter` rises, `id` is random. */
export const incarnationSchema = z.strictObject({ counter: z.int().positive(), id: z.string().regex(/^[0-9a-f]{16}$/) })
export type Incarnation = z.output<typeof incarnationSchema>

/** All times are durations in milliseconds: the receiver of a grant counts from when it sent its request. */
export const termsSchema = z.strictObject({
  /** How long an ask may wait at the compute node before it is dropped. */
  queue: duration,
  /** How long the node may go on without hearing from the requester; null: only the other durations count. */
  lease: duration.nullable(),
  publishers: z.array(publisherSchema),
  verification: z.string().max(64),
  constraints: z.array(selectorSchema),
  /** How long a node may publish after an accept. */
  publish: duration,
  /** How long a node keeps outputs without a settle. */
  retention: duration,
})
export type Terms = z.output<typeof termsSchema>

export const askedShardSchema = z.strictObject({
  index: count,
  count,
  /** CID of the list of the shard's files. */
  manifest: cid,
  /** The list itself where it is short; otherwise it is queried. */
  files: z.array(fileEntrySchema).exactOptional(),
})

const treeLeaf = z.strictObject({ execution: id, commitment: digest, signature: bytes })

/** Body of every message by type. One-way; an answer is another message. `ok` is the transport's acknowledgement: durably applied. */
export const bodies = {
  /** requester -> compute: would you run this shard? Many shards are many asks in one frame. */
  ask: z.strictObject({ askId: id, job: id, task: taskSchema, shard: askedShardSchema, terms: termsSchema }),
  /** A firm offer for `ttl`: capacity is reserved. The reservation has the id of the execution it is for. */
  bid: z.strictObject({ askId: id, execution: id, ttl: duration }),
  decline: z.strictObject({ askId: id, refusals: z.array(refusalSchema).min(1).max(64), free: capacitySchema.exactOptional(), retryAfter: duration.exactOptional() }),
  award: z.strictObject({ askId: id, execution: id }),
  awarded: z.strictObject({ execution: id }),
  refused: z.strictObject({ execution: id, code: z.enum(['expired', 'released', 'unknown', 'stopped']) }),
  release: z.strictObject({ askId: id, execution: id }),
  /** Without verification: the outcome. With it, commit, open and reveal take its place. */
  finished: z.strictObject({ execution: id, digest: digest.exactOptional(), exit: z.int().exactOptional(), failure: failureSchema.exactOptional(), usage: usageSchema, facts: z.record(z.string().max(64), z.string().max(1024)) }),
  commit: z.strictObject({ execution: id, round, commitment: digest }),
  receipt: z.strictObject({ execution: id, round, commitment: digest }),
  open: z.strictObject({ execution: id, round, seats: z.array(nodeId), draw: z.strictObject({ seed: digest, bidSetRoot: digest }), commitments: z.array(treeLeaf), commitSetRoot: digest }),
  'open-refused': z.strictObject({ execution: id, round, code: z.enum(['early', 'bad-set']) }),
  reveal: z.strictObject({ execution: id, round, digest, salt: digest, exit: z.int(), usage: usageSchema, traceRoot: digest, evidenceRoot: digest, commitSetRoot: digest }),
  abstain: z.strictObject({ execution: id, round, failure: failureSchema }),
  verdict: z.strictObject({ execution: id, round, verdict: z.enum(['accepted', 'rejected', 'void']), epoch: count, act: z.enum(['publish', 'hold', 'drop']), assurance: z.enum(['refereed', 'quorum', 'economic', 'attested', 'none']) }),
  published: z.strictObject({ execution: id, round: count, epoch: count, digest: digest.exactOptional(), reference: referenceSchema }),
  /** The answer to a `published` of an epoch that is over: unpublish. */
  superseded: z.strictObject({ execution: id, epoch: count }),
  'publish-failed': z.strictObject({ execution: id, epoch: count, failure: failureSchema }),
  stop: z.strictObject({ execution: id, reason: z.enum(['cancel', 'lost', 'superseded']) }),
  stopped: z.strictObject({ execution: id, phase: z.string().max(64) }),
  settle: z.strictObject({ execution: id }),
} as const

export type MessageType = keyof typeof bodies
export type Body<T extends MessageType> = z.output<(typeof bodies)[T]>

/** Types whose messages a third party must be able to check: they carry their sender's signature. */
export const signedTypes: ReadonlySet<MessageType> = new Set<MessageType>(['bid', 'award', 'receipt', 'open', 'reveal', 'verdict', 'stop', 'published', 'commit'])

/** A message with its envelope. */
export interface Message<T extends MessageType = MessageType> {
  readonly version: number
  readonly network: string
  readonly from: string
  readonly to: string
  readonly incarnation: Incarnation
  readonly type: T
  readonly body: Body<T>
  readonly signature?: Uint8Array
}

/** One member per type, so that `switch (message.type)` narrows the body. */
export type AnyMessage = { readonly [T in MessageType]: Message<T> }[MessageType]

const phase = z.enum(['queued', 'reserved', 'staging', 'running', 'finished', 'publishing', 'published'])

/** Hints: unsigned, unstored, newest wins. One `alive` per pair of nodes covers all executions between them. */
export const hintSchema = z.discriminatedUnion('type', [
  z.strictObject({
    type: z.literal('alive'),
    network: id,
    incarnation: incarnationSchema,
    counter: count,
    executions: z.array(z.strictObject({ id, phase, fraction: z.number().min(0).max(1).exactOptional() })),
  }),
  z.strictObject({ type: z.literal('lease'), network: id, incarnation: incarnationSchema, counter: count, lease: duration, stop: z.array(id) }),
])
export type Hint = z.output<typeof hintSchema>

/** What a node says of itself to the directory of others. Soft state: a hint. */
export const announcementSchema = z.strictObject({
  network: id,
  node: nodeId,
  incarnation: incarnationSchema,
  counter: count,
  issuedAt: z.number(),
  ttl: duration,
  engines: z.array(z.strictObject({ name: z.string().max(128), version: z.string().max(128) })).max(64),
  sources: z.array(z.string().max(64)).max(64),
  publishers: z.array(z.string().max(64)).max(64),
  capacity: capacitySchema,
  free: capacitySchema,
  devices: z.array(deviceSchema).max(256),
  labels: z.record(z.string().max(317), z.string().max(63)),
})
export type Announcement = z.output<typeof announcementSchema>
