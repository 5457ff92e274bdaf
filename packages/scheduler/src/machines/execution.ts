import { type Failure, failures, type Reference, type Usage } from '@skrei/job-spec'
import type { Assurance } from '@skrei/verifier'
import { assign, setup } from 'xstate'
import type { ObjectEvent, Output } from '../kernel/event.ts'
import { meta, type StateMeta } from '../kernel/machine.ts'
import { actions, type Enveloped, emit } from './emit.ts'

/** What the compute node said its execution came to. */
export interface Outcome {
  readonly digest?: string
  readonly exit?: number
  readonly failure?: Failure
  readonly usage: Usage
  readonly facts: Readonly<Record<string, string>>
}

/** One attempt to run one shard on one node, as the requester sees it. */
export interface ExecutionContext {
  readonly id: string
  readonly shardId: string
  readonly node: string
  readonly askId: string
  /** Raised for every permission to publish; fences late publishers. */
  readonly epoch: number
  readonly assurance: Assurance
  /** Where the results go. What is published there is fetched and matched; with `none` there is nothing to fetch. */
  readonly publisher: string
  /** Durations in milliseconds; `drift` is a share. */
  readonly times: {
    readonly lease: number
    readonly publish: number
    readonly match: number
    readonly stop: number
    readonly run: number
    /** How long its node keeps what is neither settled nor superseded. */
    readonly retention: number
    readonly drift: number
  }
  /** Until when the node may report an outcome, however lively it is: staging, the time limit and stopping together. */
  readonly endBy?: number
  /** Until when it may be publishing, once that is permitted. */
  readonly publishBy?: number
  /** When its node was last known to be there, for the deadline after that. */
  readonly heardAt?: number
  readonly outcome?: Outcome
  readonly reference?: Reference
  readonly failure?: Failure
  /** What it wrote until it was stopped, as its node says; unchecked. */
  readonly logs?: Reference
}

/** `heardAt`: when this node last heard from the execution's node; its own start at the earliest. */
export type ExecutionEvent = Enveloped<
  { readonly heardAt: number },
  | { readonly type: 'award'; readonly context: ExecutionContext }
  | { readonly type: 'awarded' }
  | { readonly type: 'refused'; readonly code: string }
  | ({ readonly type: 'finished'; readonly logs?: Reference } & Outcome)
  | { readonly type: 'published'; readonly epoch: number; readonly reference: Reference }
  | { readonly type: 'publish-failed'; readonly epoch: number; readonly failure: Failure }
  | { readonly type: 'matched' }
  | { readonly type: 'mismatched'; readonly failure: Failure }
  | { readonly type: 'missing'; readonly code: 'node-restarted' | 'node-lost' }
  | { readonly type: 'stop' }
  | { readonly type: 'stopped'; readonly phase: string; readonly logs?: Reference }
  | { readonly type: 'deadline' }
>
interface Given {
  readonly context: ExecutionContext
}

const by = meta<ExecutionContext>
const patient = (context: ExecutionContext, duration: number): number => duration * (1 + context.times.drift)
const lease = (context: ExecutionContext): number => patient(context, context.times.lease)
/** A clock that was set back while the node was down may make it look as if somebody was heard later than now. */
const silence = (context: ExecutionContext, now: number): number => Math.min(lease(context), (context.heardAt ?? now) + lease(context) - now)

const toNode = (context: ExecutionContext) => ({ do: 'send', to: context.node, expires: 4 * context.times.lease }) as const
const sendStop = (reason: 'cancel' | 'lost' | 'superseded') =>
  emit(({ context }: Given) => [{ ...toNode(context), type: 'stop', body: { execution: context.id, reason } }])
/** Whoever is away and comes back still has what it published, and holds disk for it: nothing but this message tells it to let go. */
const toKeeper = (context: ExecutionContext) => ({ ...toNode(context), expires: context.times.retention }) as const
const settle = (context: ExecutionContext): Output => ({ ...toKeeper(context), type: 'settle', body: { execution: context.id } })
const superseded = (context: ExecutionContext, epoch: number): Output => ({ ...toKeeper(context), type: 'superseded', body: { execution: context.id, epoch } })
const sendVerdict = (verdict: 'accepted' | 'void', act: 'publish' | 'drop') =>
  emit(({ context }: Given) => [
    {
      ...toNode(context),
      expires: context.times.publish,
      type: 'verdict',
      body: { execution: context.id, round: 0, verdict, epoch: context.epoch, act, assurance: context.assurance },
    },
  ])
const tell = (context: ExecutionContext, event: ObjectEvent): Output => ({
  do: 'tell',
  kind: 'shard',
  id: context.shardId,
  event: { ...event, execution: context.id },
})
const ended = (outcome: 'completed' | 'failed' | 'lost' | 'refused' | 'stopped') =>
  emit(({ context }: Given) => [
    tell(context, {
      type: 'execution-ended',
      outcome,
      ...(context.outcome && { result: context.outcome }),
      ...(context.failure && { failure: context.failure }),
      ...(context.reference && { reference: context.reference }),
      ...(context.logs && { logs: context.logs }),
    }),
  ])

const supersede = emit(({ context }: Given) => [superseded(context, context.epoch)])

/** What the job itself did is accepted, good or bad, and published; of what a node or a source did wrong there is nothing to accept. A success has a digest. */
export const acceptable = ({ failure, digest }: Outcome): boolean => (failure === undefined ? digest !== undefined : failures[failure.code].by === 'job')

const noReason: Failure = { code: 'node-fault', detail: 'the node gave no reason' }
const failWith = (code: Failure['code'], detail: string) => ({ type: 'fail' as const, params: { code, detail } })
const selfStopped = failWith('node-lost', 'it stopped the execution by itself, because its lease was over')
interface Heard {
  readonly now: number
  readonly known: { readonly heardAt: number }
}
/** It said something within its lease, or this node cannot know better yet. */
const isHeard = ({ context, event }: Given & { readonly event: Heard }): boolean =>
  event.now < Math.max(event.known.heardAt, context.heardAt ?? 0) + lease(context)
const hear = { type: 'hear' as const, params: ({ event }: { readonly event: Heard }) => event.known.heardAt }
const log = { type: 'log' as const, params: ({ event }: { readonly event: { readonly logs?: Reference } }) => event.logs }

export const executionMachine = setup({
  types: {} as { context: ExecutionContext; events: ExecutionEvent; input: ExecutionContext; meta: StateMeta },
  actions: {
    ...actions,
    fail: assign((_, failure: Failure) => ({ failure })),
    keep: assign((_, outcome: Outcome) => ({ outcome: outcomeOf(outcome) })),
    refer: assign((_, reference: Reference) => ({ reference })),
    log: assign(({ context }, logs: Reference | undefined) => (logs?.type === context.publisher ? { logs } : {})),
    hear: assign(({ context }, at: number) => ({ heardAt: Math.max(at, context.heardAt ?? at) })),
  },
}).createMachine({
  id: 'execution',
  context: ({ input }) => input,
  initial: 'new',
  states: {
    new: { on: { award: 'awarding' } },
    awarding: {
      meta: by('compute', lease),
      entry: emit(({ context }: Given) => [{ ...toNode(context), type: 'award', body: { askId: context.askId, execution: context.id } }]),
      on: {
        awarded: {
          target: 'running',
          actions: assign({ endBy: ({ context, event }) => event.now + patient(context, context.times.run), heardAt: ({ event }) => event.now }),
        },
        stopped: { target: 'lost', actions: [selfStopped, log] },
        refused: {
          target: 'refused',
          actions: { type: 'fail', params: ({ event }) => ({ code: 'node-fault', detail: `the node refused the award: ${event.code}` }) },
        },
        stop: 'stopping',
        deadline: { target: 'lost', actions: failWith('node-lost', 'it did not answer the award within its lease') },
        missing: { actions: 'note' },
      },
    },
    running: {
      meta: by('compute', (context, now) => Math.min(silence(context, now), (context.endBy ?? now) - now)),
      on: {
        finished: [
          // There is nothing to publish, so nothing to permit, to fetch or to match: the outcome is the result.
          {
            target: 'judged',
            guard: ({ context, event }) => context.publisher === 'none' && !isVerified(context) && acceptable(event),
            actions: [{ type: 'keep', params: ({ event }) => event }, assign({ reference: { type: 'none' } })],
          },
          { target: 'accepted', guard: ({ event }) => acceptable(event), actions: { type: 'keep', params: ({ event }) => event } },
          {
            target: 'failed',
            actions: [
              { type: 'keep', params: ({ event }) => event },
              log,
              { type: 'fail', params: ({ event }) => event.failure ?? noReason },
              sendVerdict('void', 'drop'),
            ],
          },
        ],
        missing: { target: 'lost', actions: { type: 'fail', params: ({ event }) => ({ code: event.code, detail: 'two heartbeats did not name it' }) } },
        stopped: { target: 'lost', actions: [selfStopped, log] },
        awarded: { actions: 'note' },
        stop: 'stopping',
        deadline: [
          {
            target: 'lost',
            guard: ({ context, event }) => event.now >= (context.endBy ?? 0),
            actions: failWith('node-lost', 'it reported no outcome within the time limits'),
          },
          { guard: isHeard, actions: hear },
          { target: 'lost', actions: failWith('node-lost', 'nothing was heard from it for longer than its lease') },
        ],
      },
    },
    /** The one permission to publish is out, under `epoch`. The node may use it while it has a lease. */
    accepted: {
      meta: by('compute', (context, now) => Math.min(silence(context, now), (context.publishBy ?? now) - now)),
      entry: [
        assign({ publishBy: ({ context, event }) => event.now + patient(context, context.times.publish), heardAt: ({ event }) => event.now }),
        sendVerdict('accepted', 'publish'),
      ],
      on: {
        published: [
          {
            target: 'failed',
            guard: ({ context, event }) => event.epoch === context.epoch && event.reference.type !== context.publisher,
            actions: [
              {
                type: 'fail',
                params: ({ context, event }) => ({ code: 'result-mismatch', detail: `published as ${event.reference.type}, not as ${context.publisher}` }),
              },
              supersede,
            ],
          },
          {
            target: 'judged',
            guard: ({ context, event }) => event.epoch === context.epoch && context.publisher === 'none',
            actions: { type: 'refer', params: ({ event }) => event.reference },
          },
          {
            target: 'matching',
            guard: ({ context, event }) => event.epoch === context.epoch,
            actions: { type: 'refer', params: ({ event }) => event.reference },
          },
        ],
        'publish-failed': {
          target: 'failed',
          guard: ({ context, event }) => event.epoch === context.epoch,
          actions: [{ type: 'fail', params: ({ context, event }) => context.outcome?.failure ?? event.failure }, supersede],
        },
        missing: {
          target: 'lost',
          actions: {
            type: 'fail',
            params: ({ event }) => ({ code: event.code, detail: 'two heartbeats did not name it, and its results were not published yet' }),
          },
        },
        stopped: { target: 'lost', actions: [selfStopped, log] },
        finished: { actions: 'note' },
        stop: 'stopping',
        deadline: [
          {
            target: 'failed',
            guard: ({ context, event }) => event.now >= (context.publishBy ?? 0),
            actions: [failWith('publish-failed', 'the node did not publish in time'), supersede],
          },
          { guard: isHeard, actions: hear },
          { target: 'lost', actions: failWith('node-lost', 'nothing was heard from it for longer than its lease, before it had published') },
        ],
      },
    },
    /** What was published is fetched and compared with the digest, before anything is cleaned up. */
    matching: {
      meta: by('requester', (context) => context.times.match),
      entry: emit(({ context }: Given) => [
        {
          do: 'effect',
          type: 'match',
          data: {
            reference: { ...context.reference },
            digest: context.outcome?.digest ?? null,
            exit: context.outcome?.exit ?? null,
          },
        },
      ]),
      on: {
        matched: 'judged',
        mismatched: { target: 'failed', actions: [{ type: 'fail', params: ({ event }) => event.failure }, supersede] },
        stopped: { actions: 'note' },
        published: { actions: 'note' },
        missing: { actions: 'note' },
        stop: 'stopping',
        deadline: { target: 'failed', actions: [failWith('publish-failed', 'what was published could not be fetched in time'), supersede] },
      },
    },
    /** Completed or failed by the job's own doing: the result is recorded either way. */
    judged: {
      meta: by('execution', () => 0),
      entry: emit(({ context }: Given) => [settle(context)]),
      always: [
        {
          target: 'failed',
          guard: ({ context }) => context.outcome?.failure !== undefined,
          actions: { type: 'fail', params: ({ context }) => context.outcome?.failure ?? noReason },
        },
        { target: 'completed' },
      ],
    },
    stopping: {
      meta: by('compute', (context) => lease(context) + context.times.stop),
      entry: sendStop('cancel'),
      on: {
        stopped: { target: 'stopped', actions: log },
        refused: 'stopped',
        missing: 'stopped',
        deadline: 'stopped',
        awarded: { actions: 'note' },
        finished: { actions: 'note' },
        'publish-failed': { actions: 'note' },
        matched: { actions: 'note' },
        mismatched: { actions: 'note' },
        published: {
          actions: emit(({ context, event }) => [superseded(context, event.epoch)]),
        },
      },
    },
    completed: { type: 'final', entry: ended('completed') },
    failed: { type: 'final', entry: ended('failed') },
    refused: { type: 'final', entry: ended('refused') },
    lost: { type: 'final', entry: [sendStop('lost'), ended('lost')] },
    stopped: { type: 'final', entry: ended('stopped') },
  },
})

/** What is kept of one that is over: what it came to, and what `lateExecution` needs. */
export const executionRemains = ({ times, endBy, publishBy, heardAt, ...kept }: ExecutionContext): ExecutionContext =>
  ({ ...kept, times: { lease: times.lease, retention: times.retention } }) as unknown as ExecutionContext

/** Its messages are signed then: others than its two parties must be able to check them. */
export const isVerified = ({ assurance }: ExecutionContext): boolean => assurance !== 'none'

/** Only what is an outcome's, with nothing undefined. */
export const outcomeOf = ({ digest, exit, failure, usage, facts }: Outcome): Outcome => ({
  ...(digest !== undefined && { digest }),
  ...(exit !== undefined && { exit }),
  ...(failure !== undefined && { failure }),
  usage,
  facts: facts,
})

/** What was published is the shard's result, good or bad: it stays. Failures are compared by their code: from a store, they are not the same object. */
export const isRecorded = (state: string, { reference, outcome, failure }: ExecutionContext): boolean =>
  state === 'completed' || (state === 'failed' && reference !== undefined && outcome?.failure !== undefined && outcome.failure.code === failure?.code)

/** Whatever a node still says of an execution that is over: it is told to let go. */
export const lateExecution = (state: string, context: ExecutionContext, event: ObjectEvent): readonly Output[] => {
  if (event.type === 'published' && isRecorded(state, context)) return [settle(context)]
  if (event.type === 'published') return [superseded(context, Number(event['epoch']))]
  if (event.type === 'awarded' || event.type === 'finished')
    return [{ ...toNode(context), type: 'stop', body: { execution: context.id, reason: state === 'stopped' ? 'cancel' : 'lost' } }]
  return []
}
