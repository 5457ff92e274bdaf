import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import type * as z from 'zod'
import {
  capacitySchema,
  deviceSchema,
  failureSchema,
  fileEntrySchema,
  publisherSchema,
  referenceSchema,
  refusalSchema,
  selectorSchema,
  sourceSchema,
  usageSchema,
} from '../packages/job-spec/src/index.ts'
import {
  announcementSchema,
  assessedSchema,
  bodies,
  hintSchema,
  incarnationSchema,
  logEnds,
  logRequestSchema,
  type MessageType,
  maxAnnouncementBytes,
  maxAskedFiles,
  maxHintedExecutions,
  maxLogFrameBytes,
  maxMessageBytes,
  maxMessageDepth,
  maxMessageItems,
  notAssessedSchema,
  protocolErrors,
  signedTypes,
  signedWhereVerified,
  termsSchema,
  wishSchema,
} from '../packages/protocol/src/index.ts'
import { defaultSettings, type Settings } from '../packages/scheduler/src/settings.ts'
import { machines } from './machines-page.ts'
import { code, table } from './markdown.ts'
import { fields, jsonSchema, type Meaning, type Schema } from './schema-table.ts'

/** Shapes that stand in several messages, each in a section of its own. */
const shared: readonly (readonly [name: string, schema: z.ZodType, about: string])[] = [
  ['incarnation', incarnationSchema, 'Which start of the node wrote this.'],
  ['task', bodies.ask.shape.task, 'A job without its inputs, every default filled in. Units: milli-CPU, bytes, milliseconds.'],
  [
    'engine',
    bodies.ask.shape.task.shape.engine,
    'What runs the program: one of three, or an extension, whose further fields are its driver’s. Durations are milliseconds.',
  ],
  ['terms', termsSchema, 'What the requester offers, in milliseconds.'],
  ['file', fileEntrySchema, 'One file of a shard. `path` is relative to the root that the program sees.'],
  ['source', sourceSchema, 'Where a file or a module comes from: one of four.'],
  ['publisher', publisherSchema, 'Where results go.'],
  ['selector', selectorSchema, 'A label selector as in Kubernetes, such as `region in (eu, us)`.'],
  ['refusal', refusalSchema, 'Why a node declines. The codes, and which of them are for good: [errors.md](errors.md#refusals).'],
  ['failure', failureSchema, 'What went wrong. The codes, and whom each is charged to: [errors.md](errors.md#failures).'],
  ['usage', usageSchema, 'What an execution used; absent is unknown, never 0.'],
  ['reference', referenceSchema, 'Where something was published.'],
  ['capacity', capacitySchema, 'Milli-CPU, bytes, bytes.'],
  ['device', deviceSchema, 'A device that a task may be given.'],
]
const named: ReadonlyMap<z.ZodType, string> = new Map(shared.map(([name, schema]) => [schema, name]))

type Machine = 'shard' | 'execution' | 'compute execution'
interface Said {
  readonly by: 'requester' | 'compute node'
  /** Whose state decides what becomes of it; absent: this release has no part for it. */
  readonly to?: Machine
  readonly when: string
  readonly answer: string
}

/** Who says what, when, and what is the answer. A message that is missing here does not compile. */
const said: Readonly<Record<MessageType, Said>> = {
  ask: {
    by: 'requester',
    to: 'compute execution',
    when: 'A shard needs a node. Many shards are many asks, each with an `askId` of its own.',
    answer: '`bid` or `decline`; an ask may wait at the node for `terms.queue`',
  },
  bid: {
    by: 'compute node',
    to: 'shard',
    when: 'The task fits and its capacity is reserved, for `ttl` from now.',
    answer: '`award` or `release`, or nothing: the bid expires',
  },
  decline: { by: 'compute node', to: 'shard', when: 'The node will not run it: for good, or not now, as the codes say.', answer: 'none' },
  award: { by: 'requester', to: 'compute execution', when: 'This bid is taken.', answer: '`awarded` or `refused`' },
  awarded: { by: 'compute node', to: 'execution', when: 'The award came in time: staging begins.', answer: 'none' },
  refused: { by: 'compute node', to: 'execution', when: 'The award came too late, or for something that is not there.', answer: 'none' },
  release: {
    by: 'requester',
    to: 'compute execution',
    when: 'The bid is not taken, or the ask is withdrawn. An award that follows it is refused.',
    answer: 'none',
  },
  finished: {
    by: 'compute node',
    to: 'execution',
    when: 'The program has ended, or something went wrong, and nothing runs any more.',
    answer: '`verdict`; `settle`, where nothing is to be published or verified',
  },
  commit: { by: 'compute node', when: 'Verification: a hash that fixes the result and does not show it.', answer: '`receipt`' },
  receipt: { by: 'requester', when: 'Verification: the commitment arrived in time.', answer: 'none' },
  open: {
    by: 'requester',
    when: 'Verification: everyone on the panel has committed, or the time for it is over.',
    answer: '`reveal`, `abstain` or `open-refused`',
  },
  'open-refused': { by: 'compute node', when: 'Verification: the open came too early, or its set is not what it should be.', answer: 'none' },
  reveal: { by: 'compute node', when: 'Verification: what the commitment was made of.', answer: '`verdict`' },
  abstain: { by: 'compute node', when: 'Verification: no result, through no fault of the job.', answer: '`verdict`' },
  verdict: {
    by: 'requester',
    to: 'compute execution',
    when: 'The result is accepted (`publish` it, under this `epoch`) or is nothing that can be accepted (`void`, `drop` it).',
    answer: '`published` or `publish-failed` after `publish`; none after `drop`',
  },
  published: {
    by: 'compute node',
    to: 'execution',
    when: 'The outputs lie where `reference` says.',
    answer: '`settle` once fetched and matched, or `superseded`',
  },
  superseded: {
    by: 'requester',
    to: 'compute execution',
    when: 'What was or is being published under this epoch is not wanted: it is unpublished.',
    answer: 'none',
  },
  'publish-failed': { by: 'compute node', to: 'execution', when: 'The outputs are there, and could not be published.', answer: '`superseded`' },
  stop: {
    by: 'requester',
    to: 'compute execution',
    when: 'The execution is cancelled, or given up as lost. A stop overtakes a start: an execution that was stopped never begins.',
    answer: '`stopped`',
  },
  stopped: {
    by: 'compute node',
    to: 'execution',
    when: 'Nothing of it runs any more; it was in this phase. Also unasked, when the node’s lease has ended.',
    answer: 'none',
  },
  settle: {
    by: 'requester',
    to: 'compute execution',
    when: 'What was published has been fetched and found to match, or nothing was to be published: outputs may go.',
    answer: 'none',
  },
}

const id = 'of the execution: [execution ids](#execution-ids)'
const signedOver = 'with verification only'
/** What fields mean, by `message.field` or by `field` alone. */
const meanings: Readonly<Record<string, string>> = {
  askId: 'names this ask; unique at its requester',
  execution: id,
  job: 'the job, for the query of its manifest',
  shard: 'which part of the job’s input',
  'shard.index': 'from 0',
  'shard.count': 'how many shards the job has',
  'shard.manifest': 'CID of the list of the shard’s files: [the manifest](#the-manifest)',
  'shard.files': 'the list itself where it is short; absent: it is queried',
  task: 'what to run',
  terms: 'how long things may take',
  ttl: 'for how long the bid is firm, milliseconds',
  refusals: 'all reasons, not only the first',
  free: 'what is free at the node now',
  retryAfter: 'in how many milliseconds to ask this node again',
  'refused.code': 'which',
  'open-refused.code': 'which',
  'finished.digest': 'of the result: [the digest](#the-digest-of-a-result); a success has one',
  'published.digest': 'as in `finished`',
  'reveal.digest': signedOver,
  exit: 'what the program ended with',
  failure: 'absent: success',
  'abstain.failure': 'why there is no result',
  'publish-failed.failure': 'why',
  usage: 'what it used',
  facts: 'what the engine says of itself, such as its version',
  round: '0 without verification',
  epoch: 'of the permission to publish: [epochs](#results-epochs-publishing)',
  verdict: 'what became of the result',
  act: 'what to do with the outputs; `hold` only with verification',
  assurance: 'what the verdict is worth; `none` without verification',
  reference: 'where the outputs are',
  reason: 'why; the first stop’s reason stands',
  phase: 'for people: how far it had come',
  'stopped.logs': 'what it wrote until then: [logs](#logs-of-what-left-no-result); absent: nothing, or it is not to be had',
  'finished.logs': 'as in `stopped`, of a failure whose outputs nobody will publish',
  commitment: signedOver,
  seats: signedOver,
  draw: signedOver,
  'draw.seed': signedOver,
  'draw.bidSetRoot': signedOver,
  commitments: signedOver,
  'commitments[].execution': signedOver,
  'commitments[].commitment': signedOver,
  'commitments[].signature': signedOver,
  commitSetRoot: signedOver,
  salt: signedOver,
  traceRoot: signedOver,
  evidenceRoot: signedOver,
}

/** Of the shared shapes, where the schema itself does not say it. */
const sharedMeanings: Readonly<Record<string, string>> = {
  'incarnation.counter': 'rises with every start of the node',
  'incarnation.id': 'random at every start',
  'task.specCid': 'CID of the job’s canonical form',
  'task.engine': 'what runs the program',
  'task.env': 'environment variables; a secret is one that the node itself holds',
  'task.outputs': 'directories that are kept',
  'task.resources': 'what the execution holds and is held to',
  'task.resources.cpu': 'milli-CPU',
  'task.resources.memory': 'bytes',
  'task.resources.disk': 'bytes: inputs, outputs and engine sources together',
  'task.resources.gpu': 'devices, by their attributes',
  'task.resources.gpu.count': 'how many; 0: none',
  'task.resources.gpu.vendor': 'any, where absent',
  'task.resources.gpu.model': 'a glob; any, where absent',
  'task.resources.gpu.memory': 'bytes at least',
  'task.limits': 'bounds of what is kept',
  'task.network': 'what network the program sees',
  'task.timeout': 'how long the program may run, milliseconds',
  'task.limits.stdout': 'bytes that are kept',
  'task.limits.stderr': 'bytes that are kept',
  'task.limits.files': 'files that the program may leave',
  'terms.queue': 'how long the ask may wait at the node',
  'terms.lease': 'how long the node may go on without hearing from the requester; null: only the other durations count',
  'terms.publishers': 'where results go; the first counts',
  'terms.verification': 'the method; this release knows `none`',
  'terms.constraints': 'which the node’s labels must satisfy',
  'terms.publish': 'how long publishing may take, from the node’s `finished`',
  'terms.retention': 'how long outputs are kept without a word from the requester',
  'file.path': '`/`-separated, below the root that the program sees',
  'file.size': 'bytes; absent: unknown',
  'file.hash': 'SHA-256 of the content; absent: unknown',
  'file.alone': 'the source is this file, not a directory that holds it',
  'file.source': 'where it comes from',
  'refusal.resource': 'which is short',
  'refusal.wanted': 'in the unit of the resource',
  'refusal.available': 'in the unit of the resource',
  'refusal.detail': 'for people',
  'failure.detail': 'for people',
  'engine.duration': 'how long it takes',
  'usage.wallMs': 'milliseconds',
  'usage.cpuMs': 'milliseconds',
  'usage.memoryPeak': 'bytes',
  'usage.inputBytes': 'bytes that were staged',
  'usage.outputBytes': 'bytes of the outputs',
  'reference.type': 'the publisher',
  'reference.cid': 'where it is named by content',
  'reference.path': 'where it lies in a directory',
  'capacity.cpu': 'milli-CPU',
  'capacity.memory': 'bytes',
  'capacity.disk': 'bytes',
  'device.id': 'as the node names it',
  'device.kind': 'what it is',
  'device.vendor': 'absent: unknown',
  'device.model': 'absent: unknown',
  'device.memory': 'bytes; absent: unknown',
  'alive.type': 'which hint',
  'alive.network': 'the network’s name',
  'alive.incarnation': 'of the sender',
  'alive.counter': 'rises within the incarnation',
  'alive.executions': 'all of the receiver’s that this node holds',
  'alive.executions[].id': 'the execution',
  'alive.executions[].phase': 'how far it is',
  'alive.executions[].fraction': 'of the phase, where it is known',
  'lease.type': 'which hint',
  'lease.network': 'the network’s name',
  'lease.incarnation': 'of the sender',
  'lease.counter': 'of the `alive` that this answers',
  'lease.lease': 'milliseconds, from when that was sent',
  'lease.stop': 'executions to end',
  'announcement.network': 'the network’s name',
  'announcement.node': 'whose it is',
  'announcement.incarnation': 'of the node',
  'announcement.counter': 'rises within the incarnation',
  'announcement.issuedAt': 'milliseconds since the Unix epoch, by the node’s clock',
  'announcement.ttl': 'how long it holds, milliseconds',
  'announcement.engines': 'what it runs',
  'announcement.engines[].name': 'as in a task’s engine',
  'announcement.engines[].version': 'for people',
  'announcement.sources': 'types of sources that it can stage',
  'announcement.publishers': 'types of publishers that it has',
  'announcement.capacity': 'what executions may hold together',
  'announcement.free': 'what is free now',
  'announcement.devices': 'all of them',
  'announcement.labels': 'what constraints are matched with',
}

/** Of bodies and answers of queries. */
const queryMeanings: Readonly<Record<string, string>> = {
  'wish.task': 'what would run',
  'wish.terms': 'those of the [terms](#terms) that decide whether it would',
  'wish.files': 'of one shard',
  'assessed.refusals': 'why it would never run here; empty: it would',
  'assessed.lacks': 'what it would have to wait for, where it would run',
  'assessed.free': 'what is free now',
  'assessed.queued': 'how many asks wait',
  'not-assessed.unknown': 'too much was asked, the node could not find out in time, or the body is none',
  'logs.network': 'the network’s name',
  'logs.execution': id,
  'logs.from': 'the streams that are wanted, one at least',
  'logs.from.stdout': 'from which byte on',
  'logs.from.stderr': 'from which byte on',
  'logs.follow': 'whether to go on with what will be written',
}
const ofQuery =
  (shape: string): Meaning =>
  (path) =>
    queryMeanings[`${shape}.${path}`] ?? (path.startsWith('terms.') ? sharedMeanings[path] : undefined)

const of =
  (shape: string): Meaning =>
  (path) =>
    sharedMeanings[`${shape}.${path}`]

const acceptedIn = (type: MessageType, { to }: Said): string => {
  if (to === undefined) return 'refused with `unsupported-message`'
  const states = Object.entries(machines[to]?.machine.states ?? {}).filter(([, { transitions }]) => transitions.has(type))
  return `${to}: ${states.map(([state]) => state).join(', ')}`
}

const messagesTable = (): string =>
  table(
    ['message', 'from', 'signed', 'answer', 'accepted in'],
    Object.entries(said).map(([type, one]) => [
      `[${type}](#${type})`,
      one.by,
      signedWhereVerified.has(type as MessageType) ? 'where verified' : signedTypes.has(type as MessageType) ? 'yes' : 'no',
      one.answer,
      acceptedIn(type as MessageType, one),
    ]),
  )

const messageMeaning = (type: string, path: string): string | undefined => meanings[`${type}.${path}`] ?? meanings[path]

const messages = (): string =>
  Object.entries(said)
    .map(([type, { by, when }]) =>
      [
        `### ${type}`,
        `From the ${by}${signedWhereVerified.has(type as MessageType) ? ', signed where verified' : signedTypes.has(type as MessageType) ? ', signed' : ''}. ${when}`,
        fields(jsonSchema(bodies[type as MessageType], named), (path) => messageMeaning(type, path)),
      ].join('\n\n'),
    )
    .join('\n\n')

/** The closed lists of codes have pages of their own. */
const codesLinked = (schema: Schema): Schema =>
  schema.properties?.['code']?.enum === undefined
    ? schema
    : { ...schema, properties: { ...schema.properties, code: { type: 'a code of the list', description: 'one of the closed list' } } }

const shapes = (): string =>
  shared.map(([name, schema, about]) => [`### ${name}`, about, fields(codesLinked(jsonSchema(schema, named)), of(name))].join('\n\n')).join('\n\n')

const limits = (): string =>
  table(
    ['limit', 'value'],
    [
      ['bytes of a message or a hint', String(maxMessageBytes)],
      ['values in it, keys and containers counted', String(maxMessageItems)],
      ['levels of lists and maps in it', String(maxMessageDepth)],
      ['bytes of an announcement', String(maxAnnouncementBytes)],
      ['files listed in an ask', String(maxAskedFiles)],
      ['executions in a hint: the most between one pair of nodes', String(maxHintedExecutions)],
      ['a duration', 'ten years, in milliseconds, which may be a fraction'],
    ],
  )

/** Settings that a peer notices. */
const noticed = {
  lease: 'the lease that a requester grants',
  heartbeat: 'between two `alive` to one requester',
  drift: 'how far clocks may run apart, a share: ρ',
  bidTtl: 'how long a bid is firm',
  assess: 'within which an ask is assessed, or declined with `assess-failed`',
  longestQueue: 'the longest that an ask waits, whatever its terms say',
  stage: 'how long staging may take',
  publish: 'how long publishing may take; a node takes the smaller of this and the terms',
  match: 'how long the requester takes to fetch and match',
  stop: 'how long stopping may take',
  retention: 'how long outputs are kept; a node takes the smaller of this and the terms',
  asks: 'how many nodes are asked for one shard when the best-ranked, asked alone, has not bid within `bidWindow`',
  maxAsks: 'how many may have been asked at a time',
  widen: 'without a bid for this long, more are asked',
  bidWindow: 'how long the best-ranked node may answer alone; after a bid, how long a better-ranked one still may',
  retryAfter: 'the shortest `retryAfter` of a decline; as a requester, before nodes are asked again when none could bid',
  longestRetryAfter: 'the longest `retryAfter`, and how long a requester keeps to one',
  announcementTtl: 'how long an announcement holds; it is renewed after a third of it',
} as const satisfies Partial<Record<keyof Settings, string>>

const settings = (): string =>
  table(
    ['setting', 'default', 'what it is'],
    Object.entries(noticed).map(([name, about]) => {
      const value = defaultSettings[name as keyof typeof noticed]
      return [code(name), name === 'drift' || name === 'asks' || name === 'maxAsks' ? String(value) : `${value} ms`, about]
    }),
  )

const rejectionCodes = (): string =>
  table(
    ['code', 'cause'],
    Object.entries(protocolErrors)
      .filter(([name]) => !name.startsWith('invalid-'))
      .map(([name, { cause }]) => [code(name), cause]),
  )

const hints = (): string => {
  const [alive = {}, lease = {}] = jsonSchema(hintSchema, named).oneOf ?? jsonSchema(hintSchema, named).anyOf ?? []
  return [`### alive`, 'From a compute node to a requester.', fields(alive, of('alive')), '### lease', 'The answer to it.', fields(lease, of('lease'))].join(
    '\n\n',
  )
}

const parts: Readonly<Record<string, () => string>> = {
  'messages-table': messagesTable,
  messages,
  shapes,
  limits,
  settings,
  'rejection-codes': rejectionCodes,
  hints,
  wish: () => fields(jsonSchema(wishSchema, new Map([...named, [wishSchema.shape.task, 'task']])), ofQuery('wish')),
  assessed: () => fields(jsonSchema(assessedSchema, named), ofQuery('assessed')),
  'not-assessed': () => fields(jsonSchema(notAssessedSchema, named), ofQuery('not-assessed')),
  'log-request': () => fields(jsonSchema(logRequestSchema, named), ofQuery('logs')),
  'log-ends': () =>
    table(
      ['reason', 'what it means'],
      Object.entries(logEnds).map(([name, about]) => [code(name), about]),
    ),
  'log-frame-bytes': () => String(maxLogFrameBytes),
  announcement: () => fields(jsonSchema(announcementSchema, named), of('announcement')),
}

/** docs/protocol.md: the template with its `{{parts}}` made from the code. */
export const protocolPage = (): string => {
  const template = readFileSync(join(import.meta.dirname, 'protocol.template.md'), 'utf8')
  const unused = new Set(Object.keys(parts))
  const page = template.replaceAll(/\{\{([a-z-]+)\}\}/g, (_, name: string) => {
    const part = parts[name]
    if (part === undefined) throw new Error(`protocol.template.md asks for ${name}, which there is not`)
    unused.delete(name)
    return part()
  })
  if (unused.size > 0) throw new Error(`protocol.template.md leaves out ${[...unused].join(', ')}`)
  return page
}
