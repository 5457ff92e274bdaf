import {
  capacitySchema,
  failureSchema,
  fileEntrySchema,
  publisherSchema,
  referenceSchema,
  refusalSchema,
  selectorSchema,
  taskSchema,
  usageSchema,
} from '@skrei/job-spec'
import * as z from 'zod'
import type { Incarnation } from './field.ts'
import { cid, count, digest, duration, id, incarnationSchema, nodeId, protocolVersion, round } from './field.ts'

export type { Incarnation }
export { incarnationSchema, protocolVersion }

const bytes64 = z.instanceof(Uint8Array).refine((value) => value.length === 64, 'expected 64 bytes')
// The 32 bits that a program ends with, read as signed or as unsigned.
const exit = z
  .int()
  .min(-(2 ** 31))
  .max(2 ** 32 - 1)

/** All times are durations in milliseconds: the receiver of a grant counts from when it sent its request. */
export const termsSchema = z.strictObject({
  /** How long an ask may wait at the compute node before it is dropped. */
  queue: duration,
  /** How long the node may go on without hearing from the requester; null: only the other durations count. */
  lease: duration.nullable(),
  publishers: z.array(publisherSchema).max(8),
  verification: z.string().max(64),
  constraints: z.array(selectorSchema).max(64),
  /** How long a node may publish after an accept. */
  publish: duration,
  /** How long a node keeps outputs without a settle. */
  retention: duration,
})
export type Terms = z.output<typeof termsSchema>

/** The most files that an ask lists itself. */
export const maxAskedFiles = 4096

export const askedShardSchema = z.strictObject({
  index: count,
  count,
  /** CID of the list of the shard's files. */
  manifest: cid,
  /** The list itself where it is short (at most {@link maxAskedFiles}, and the whole ask within `maxMessageBytes`); otherwise it is queried. */
  files: z.array(fileEntrySchema).max(maxAskedFiles).exactOptional(),
})

// As many outputs as a job may declare: a list without a bound costs a stranger's reader a report on each of its entries.
const task = taskSchema.extend({ outputs: taskSchema.shape.outputs.max(256) })

const treeLeaf = z.strictObject({ execution: id, commitment: digest, signature: bytes64 })

/** Body of every message by type. One-way; an answer is another message. `ok` is the transport's acknowledgement: durably applied. */
export const bodies = {
  /** requester -> compute: would you run this shard? Many shards are many asks in one frame, each with an `askId` of its own. */
  ask: z.strictObject({ askId: id, job: id, task, shard: askedShardSchema, terms: termsSchema }),
  /** compute -> requester: a firm offer for `ttl`: capacity is reserved. The reservation has the id of the execution it is for (`executionId`). */
  bid: z.strictObject({ askId: id, execution: id, ttl: duration }),
  /** compute -> requester: no, and why. `free`: the capacity free now; `retryAfter`: when to ask again, jittered. */
  decline: z.strictObject({
    askId: id,
    refusals: z.array(refusalSchema).min(1).max(64),
    free: capacitySchema.exactOptional(),
    retryAfter: duration.exactOptional(),
  }),
  /** requester -> compute: run it. */
  award: z.strictObject({ askId: id, execution: id }),
  /** compute -> requester: the award holds. */
  awarded: z.strictObject({ execution: id }),
  /** compute -> requester: the award came too late, or for something that is not there. */
  refused: z.strictObject({ execution: id, code: z.enum(['expired', 'released', 'unknown', 'stopped']) }),
  /** requester -> compute: the bid is not taken. A tombstone even where there is no such bid: an award that follows is refused. */
  release: z.strictObject({ askId: id, execution: id }),
  /**
   * compute -> requester, without verification: the outcome. With it, commit, open and reveal take its place. `digest`: of the result (the
   * verifier's `resultTree`); absent where there are no outputs to publish. `failure` absent = success. `facts`: what the engine says of itself.
   * `logs`: as in `stopped`, of a failure that nobody accepts, whose outputs are not published.
   */
  finished: z.strictObject({
    execution: id,
    digest: digest.exactOptional(),
    exit: exit.exactOptional(),
    failure: failureSchema.exactOptional(),
    usage: usageSchema,
    facts: z.record(z.string().max(64), z.string().max(1024)).refine((facts) => Object.keys(facts).length <= 64, 'expected at most 64 facts'),
    logs: referenceSchema.exactOptional(),
  }),
  /** compute -> requester: a hash that fixes the result and does not show it (the verifier's `commitment`). */
  commit: z.strictObject({ execution: id, round, commitment: digest }),
  /** requester -> compute: the commitment arrived in time. */
  receipt: z.strictObject({ execution: id, round, commitment: digest }),
  /** requester -> compute: everyone on the panel and what each committed to, with what shows that the panel was drawn. */
  open: z.strictObject({
    execution: id,
    round,
    seats: z.array(nodeId).max(4096),
    draw: z.strictObject({ seed: digest, bidSetRoot: digest }),
    commitments: z.array(treeLeaf).max(4096),
    commitSetRoot: digest,
  }),
  /** compute -> requester: this open is not answered. */
  'open-refused': z.strictObject({ execution: id, round, code: z.enum(['early', 'bad-set']) }),
  /** compute -> requester: what the commitment was made of. */
  reveal: z.strictObject({
    execution: id,
    round,
    digest,
    salt: digest,
    exit,
    usage: usageSchema,
    traceRoot: digest,
    evidenceRoot: digest,
    commitSetRoot: digest,
  }),
  /** compute -> requester: no result, through no fault of the job's or of another node's; counts as absent. */
  abstain: z.strictObject({ execution: id, round, failure: failureSchema }),
  /** requester -> compute: what became of the result, and what to do with the outputs. One verdict an epoch: an accept passes on by a higher epoch. */
  verdict: z.strictObject({
    execution: id,
    round,
    verdict: z.enum(['accepted', 'rejected', 'void']),
    epoch: count,
    act: z.enum(['publish', 'hold', 'drop']),
    assurance: z.enum(['refereed', 'quorum', 'economic', 'attested', 'none']),
  }),
  /** compute -> requester: the outputs are where `reference` says. */
  published: z.strictObject({ execution: id, round, epoch: count, digest: digest.exactOptional(), reference: referenceSchema }),
  /** requester -> compute: the answer to a `published` of an epoch that is over: unpublish. */
  superseded: z.strictObject({ execution: id, epoch: count }),
  /** compute -> requester: the outputs are there still, but could not be published. */
  'publish-failed': z.strictObject({ execution: id, epoch: count, failure: failureSchema }),
  /** requester -> compute: end it. A tombstone even where there is no such execution. The first reason stands: a stop is never written a second time with another. */
  stop: z.strictObject({ execution: id, reason: z.enum(['cancel', 'lost', 'superseded']) }),
  /** compute -> requester: it has ended, in this phase. `logs`: a directory with what it wrote until then, the files `stdout` and `stderr`, each where there is any. */
  stopped: z.strictObject({ execution: id, phase: z.string().max(64), logs: referenceSchema.exactOptional() }),
  /** requester -> compute: what was published has been fetched and matched; outputs may go. */
  settle: z.strictObject({ execution: id }),
} as const

export type MessageType = keyof typeof bodies
export type Body<T extends MessageType> = z.output<(typeof bodies)[T]>

/**
 * Types whose messages a third party must be able to check where the execution is verified: they carry their sender's signature then. All others carry none. Of an execution
 * that is not verified (method `none`) there is no transcript: the channel proves to its two parties who speaks, and those of {@link signedWhereVerified} carry none either.
 */
export const signedTypes: ReadonlySet<MessageType> = new Set<MessageType>([
  'bid',
  'award',
  'commit',
  'receipt',
  'open',
  'reveal',
  'abstain',
  'verdict',
  'stop',
  'published',
])

/** Those of {@link signedTypes} that executions have which are not verified. */
export const signedWhereVerified: ReadonlySet<MessageType> = new Set<MessageType>(['bid', 'award', 'verdict', 'stop', 'published'])

/** A message with its envelope. */
export interface Message<T extends MessageType = MessageType> {
  readonly version: number
  readonly network: string
  readonly from: string
  readonly to: string
  /** The sender's when it wrote the message: one that is sent again after a restart keeps that of before. */
  readonly incarnation: Incarnation
  readonly type: T
  readonly body: Body<T>
  /** 64 bytes of ed25519, on {@link signedTypes} alone, of executions that are verified. */
  readonly signature?: Uint8Array
}

/** One member per type, so that `switch (message.type)` narrows the body. */
export type AnyMessage = { readonly [T in MessageType]: Message<T> }[MessageType]

/** What a sender says; version and signature are added to it. */
export type Draft<T extends MessageType = MessageType> = Omit<Message<T>, 'version' | 'signature'>

/** One member per type. */
export type AnyDraft = { readonly [T in MessageType]: Draft<T> }[MessageType]
