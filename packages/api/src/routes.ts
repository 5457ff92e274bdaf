import * as z from 'zod'
import type { RouteName } from './endpoints.ts'
import type { Route } from './route.ts'
import { blobSchema } from './schema/blob.ts'
import { jobPageSchema, jobStateSchema, jobViewSchema, resultHeadSchema, shardPageSchema } from './schema/job.ts'
import { streamNames } from './schema/log.ts'
import { healthSchema, nodeListSchema, nodeViewSchema, peerListSchema } from './schema/node.ts'
import { planSchema, validationSchema } from './schema/plan.ts'

const json = 'application/json'
const events = 'text/event-stream'
const octets = 'application/octet-stream'

/** A whole number as text: nothing else that `Number` would take. */
const whole = (minimum: number, maximum: number) => {
  const error = `expected a whole number from ${minimum} to ${maximum}`
  return z
    .string()
    .regex(/^\d{1,16}$/, { error })
    .transform(Number)
    .pipe(z.int({ error }).min(minimum, { error }).max(maximum, { error }))
}
const flag = z
  .enum(['true', 'false'], { error: 'expected true or false' })
  .transform((text) => text === 'true')
  .pipe(z.boolean())
const id = z.string().regex(/^[\x21-\x7e]{1,256}$/, { error: 'expected 1 to 256 printable ASCII characters without blanks' })
const sequence = whole(0, Number.MAX_SAFE_INTEGER)
const seconds = whole(0, 60).meta({ description: 'Seconds to wait for the job to be final; the answer then is the job as it is.' })
const page = whole(1, 1000).default(100)

/** `execution:stdout:stderr`, bytes of each stream. */
const positionSchema = z
  .string()
  .regex(/^[\x21-\x7e]{1,256}:\d{1,15}:\d{1,15}$/, { error: 'expected EXECUTION:BYTES:BYTES' })
  .transform((text) => {
    const parts = text.split(':')
    const [stdout, stderr] = parts.slice(-2).map(Number) as [number, number]
    return { execution: parts.slice(0, -2).join(':'), stdout, stderr }
  })

const job = { 'application/yaml': 'job', [json]: 'job' } as const
const jobBody = { description: 'A job file, at most 1 MiB.', types: job }
const jobErrors = ['bad-request', 'body-too-large', 'unsupported-media-type', 'job-invalid'] as const
const submitErrors = ['not-enough-nodes', 'not-built', 'task-too-large', 'not-requester', 'draining'] as const
const idErrors = ['bad-request', 'job-not-found', 'id-ambiguous'] as const

/** What each route takes and answers. */
export const routes = {
  health: { summary: 'Whether the node takes work', answers: { 200: { description: 'It answers.', types: { [json]: healthSchema } } }, errors: [] },
  node: { summary: 'The node that answers', answers: { 200: { description: 'The node.', types: { [json]: nodeViewSchema } } }, errors: [] },
  nodes: { summary: 'The nodes that it knows', answers: { 200: { description: 'The nodes.', types: { [json]: nodeListSchema } } }, errors: [] },
  peers: { summary: 'The peers that it is connected to', answers: { 200: { description: 'The peers.', types: { [json]: peerListSchema } } }, errors: [] },
  validate: {
    summary: 'Check a job file',
    body: jobBody,
    answers: { 200: { description: 'The file is right.', types: { [json]: validationSchema } } },
    errors: jobErrors,
  },
  plan: {
    summary: 'What a job would come to now',
    description: 'Lists its inputs and asks nodes what they would say. Nothing is submitted, written or reserved.',
    body: jobBody,
    answers: { 200: { description: 'The plan.', types: { [json]: planSchema } } },
    errors: [...jobErrors, ...submitErrors],
  },
  submit: {
    summary: 'Submit a job',
    description: 'The job is durable once this is answered.',
    query: z.strictObject({ wait: seconds.exactOptional() }),
    headers: z.object({
      'idempotency-key': id
        .meta({ description: 'Submitting the same job again with the same key gives the job that there is, also after a restart of the node.' })
        .exactOptional(),
    }),
    body: jobBody,
    answers: {
      201: { description: 'The job is new.', types: { [json]: jobViewSchema }, headers: { location: 'Where the job is.' } },
      200: { description: 'The key was known: the job that it belongs to.', types: { [json]: jobViewSchema }, headers: { location: 'Where the job is.' } },
    },
    errors: [...jobErrors, ...submitErrors, 'key-reused'],
  },
  jobs: {
    summary: 'List jobs, newest first',
    query: z.strictObject({
      limit: page,
      after: id.meta({ description: 'The id of the last job of the page before.' }).exactOptional(),
      state: jobStateSchema.exactOptional(),
      prefix: id.meta({ description: 'Only ids that begin with it.' }).exactOptional(),
    }),
    answers: { 200: { description: 'A page of jobs.', types: { [json]: jobPageSchema } } },
    errors: ['bad-request'],
  },
  job: {
    summary: 'Describe a job',
    query: z.strictObject({ wait: seconds.exactOptional() }),
    answers: { 200: { description: 'The job.', types: { [json]: jobViewSchema } } },
    errors: idErrors,
  },
  spec: {
    summary: "A job's file",
    description: 'In its shortest form: what can be submitted again.',
    answers: { 200: { description: 'The job file, as JSON.', types: { [json]: 'job' } } },
    errors: idErrors,
  },
  shards: {
    summary: "A job's shards",
    query: z.strictObject({
      limit: page,
      after: whole(0, Number.MAX_SAFE_INTEGER).meta({ description: 'The index of the last shard of the page before.' }).exactOptional(),
    }),
    answers: { 200: { description: 'A page of shards.', types: { [json]: shardPageSchema } } },
    errors: idErrors,
  },
  events: {
    summary: 'What happens to a job, as it happens',
    description:
      'Server-sent events: `history` (a HistoryItem; its id is the sequence), `progress` (a Progress; a hint without an id), and at last `end` (the Job), or `error` (an Error). A stream that ends without either goes on with Last-Event-ID.',
    query: z.strictObject({
      after: sequence.meta({ description: 'Only what came after this sequence.' }).exactOptional(),
      follow: flag.meta({ description: "Go on until the job's end; else what there is now, and `end` with the job as it is." }).default(true),
    }),
    headers: z.object({ 'last-event-id': sequence.meta({ description: 'As `after`, and before it.' }).exactOptional() }),
    answers: { 200: { description: 'The events.', types: { [events]: 'events' } } },
    errors: [...idErrors, 'too-many-streams'],
  },
  logs: {
    summary: 'What a shard of a job wrote, as it writes',
    description:
      'With `Accept: text/event-stream`: `log` (a LogChunk; its id is the position `EXECUTION:STDOUT:STDERR` after it), and at last `end`, or `error`. Else the raw bytes of one stream.',
    query: z.strictObject({
      shard: whole(0, 2 ** 31).default(0),
      stream: z.enum(streamNames).meta({ description: 'Default: both as events, stdout as bytes.' }).exactOptional(),
      follow: flag.meta({ description: 'Go on until the shard is final; else what there is now.' }).default(false),
      from: positionSchema.meta({ description: 'What one has already: `EXECUTION:STDOUT:STDERR`, bytes of each stream.' }).exactOptional(),
    }),
    headers: z.object({ 'last-event-id': positionSchema.meta({ description: 'As `from`, and before it.' }).exactOptional() }),
    answers: { 200: { description: 'The logs.', types: { [events]: 'events', [octets]: 'bytes' } } },
    errors: [...idErrors, 'no-shard', 'logs-gone', 'logs-unavailable', 'too-many-streams'],
  },
  stop: {
    summary: 'Stop a job',
    description: 'It is cancelled once every execution has stopped. Of a final job nothing changes.',
    answers: { 202: { description: 'The job, as it is now.', types: { [json]: jobViewSchema } } },
    errors: idErrors,
  },
  result: {
    summary: "A job's result",
    description: 'The head of result.json; of a job that is not final, as far as it is known.',
    answers: { 200: { description: 'The head.', types: { [json]: resultHeadSchema } } },
    errors: [...idErrors, 'result-not-there'],
  },
  resultFile: {
    summary: "One file of a job's result",
    headers: z.object({ range: z.string().meta({ description: 'One range of bytes.' }).exactOptional() }),
    answers: {
      200: { description: 'The file.', types: { [octets]: 'bytes' }, headers: { 'accept-ranges': 'bytes' } },
      206: { description: 'The range.', types: { [octets]: 'bytes' }, headers: { 'content-range': 'Which bytes, and of how many.' } },
    },
    errors: [...idErrors, 'result-not-there', 'file-not-found', 'range-not-satisfiable', 'too-many-streams'],
  },
  archive: {
    summary: "A job's whole result",
    answers: { 200: { description: 'A tar archive.', types: { 'application/x-tar': 'bytes' } } },
    errors: [...idErrors, 'result-not-there', 'too-many-streams'],
  },
  blobs: {
    summary: 'Keep a file or a directory',
    body: { description: 'Bytes of one file, or a tar archive of plain files and directories.', types: { [octets]: 'bytes', 'application/x-tar': 'bytes' } },
    answers: { 201: { description: 'What a source of type `ipfs` names.', types: { [json]: blobSchema } } },
    errors: ['bad-request', 'body-too-large', 'unsupported-media-type', 'tree-invalid', 'blobs-off', 'storage-full', 'draining', 'too-many-streams'],
  },
  metrics: { summary: "The node's metrics", answers: { 200: { description: "Prometheus' text format.", types: { 'text/plain': 'text' } } }, errors: [] },
  openApi: { summary: 'This document', answers: { 200: { description: 'OpenAPI 3.1.', types: { [json]: z.looseObject({}) } } }, errors: [] },
} as const satisfies Readonly<Record<RouteName, Route>>

export type Routes = typeof routes

/** What stands after the question mark, read; of a route without a query nothing. */
export type QueryOf<K extends RouteName> = Routes[K] extends { readonly query: infer Q extends z.ZodType } ? z.output<Q> : Readonly<Record<never, never>>
export type HeadersOf<K extends RouteName> = Routes[K] extends { readonly headers: infer H extends z.ZodType } ? z.output<H> : Readonly<Record<never, never>>

type JsonOf<A> = A extends { readonly types: { readonly 'application/json': infer S extends z.ZodType } } ? z.output<S> : never
/** The JSON that a route answers with. */
export type AnswerOf<K extends RouteName> = JsonOf<Routes[K]['answers'][keyof Routes[K]['answers']]>
