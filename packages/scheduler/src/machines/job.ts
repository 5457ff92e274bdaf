import type { Failure, Reference } from '@skrei/job-spec'
import { assign, setup } from 'xstate'
import type { Output } from '../kernel/event.ts'
import { meta, type StateMeta } from '../kernel/machine.ts'
import { actions, type Enveloped, emit } from './emit.ts'
import type { ShardContext } from './shard.ts'

/** What the user submitted. Its spec and its manifest are rows of their own; here are only counters, whatever the number of shards. */
export interface JobContext {
  readonly id: string
  readonly name: string
  readonly specCid: string
  readonly submittedAt: number
  readonly endBy: number
  readonly tolerate: number
  readonly window: number
  readonly times: { readonly compose: number; readonly stop: number }
  readonly shards: {
    readonly total: number
    readonly opened: number
    readonly active: number
    readonly completed: number
    readonly failed: number
    readonly cancelled: number
  }
  readonly manifest?: string
  /** Ids of nodes that hold inputs, as their sources said when the job was planned; 64 at most. A hint for ranking. */
  readonly holders?: readonly string[]
  /** Why it will not complete, once that is known; without it a stopping job was cancelled. */
  readonly failure?: Failure
  readonly cancelled: boolean
  readonly reference?: Reference
}

/** `active`: the ids of the job's open shards, at most a window of them. `shard`: a new shard's context. `composes`: whether there is somewhere to publish a result. */
export interface JobFacts {
  readonly active: readonly string[]
  readonly shard: (index: number) => ShardContext
  readonly composes: boolean
}

/** Of a job's inputs: how many shards they come to, and what names their list. */
interface Planned {
  readonly total: number
  readonly manifest: string
  readonly holders?: readonly string[]
}

export type JobEvent = Enveloped<
  JobFacts,
  | { readonly type: 'submit'; readonly context: JobContext; readonly planned?: Planned }
  | { readonly type: 'planning' }
  | ({ readonly type: 'planned' } & Planned)
  | { readonly type: 'plan-failed'; readonly failure: Failure }
  | { readonly type: 'shard-ended'; readonly index: number; readonly outcome: 'completed' | 'failed' | 'cancelled'; readonly failure?: Failure }
  | { readonly type: 'composed'; readonly reference: Reference }
  | { readonly type: 'compose-failed'; readonly failure: Failure }
  | { readonly type: 'cancel' }
  | { readonly type: 'deadline' }
>

const by = meta<JobContext>
const untilEnd = (context: JobContext, now: number): number => context.endBy - now
const overdue = ({ context }: { readonly context: JobContext }): Failure => ({
  code: 'deadline',
  detail:
    context.manifest === undefined ? 'its inputs were not listed by then' : `${context.shards.completed} of ${context.shards.total} shards were done by then`,
})

/** Opens shards until the window is full or there are none left. */
const opening = (context: JobContext): number => Math.max(0, Math.min(context.window - context.shards.active, context.shards.total - context.shards.opened))
const openNext = (context: JobContext, facts: JobFacts): readonly Output[] =>
  Array.from({ length: opening(context) }, (_, offset) => {
    const shard = facts.shard(context.shards.opened + offset)
    return { do: 'tell', kind: 'shard', id: shard.id, event: { type: 'open', context: shard } }
  })
const opened = (context: JobContext): JobContext['shards'] => {
  const count = opening(context)
  return { ...context.shards, opened: context.shards.opened + count, active: context.shards.active + count }
}

type Ended = Extract<JobEvent, { type: 'shard-ended' }>
const counted = (context: JobContext, event: Ended): JobContext['shards'] => ({
  ...context.shards,
  active: context.shards.active - 1,
  [event.outcome]: context.shards[event.outcome] + 1,
})
const tooManyFailed = (context: JobContext, event: Ended): boolean => event.outcome === 'failed' && context.shards.failed + 1 > context.tolerate
const isLast = (context: JobContext): boolean => context.shards.active === 1 && context.shards.opened === context.shards.total

const summed = (context: JobContext, event: Ended): Failure => {
  const cause = event.failure ?? { code: 'node-fault', detail: 'no reason given' }
  return { code: cause.code, detail: context.shards.total === 1 ? cause.detail : `shard ${event.index}: ${cause.detail}`.slice(0, 4096) }
}

/** What is kept of one that is over. */
export const jobRemains = ({ times, window, holders, ...kept }: JobContext): JobContext => kept as unknown as JobContext

export const jobMachine = setup({
  types: {} as { context: JobContext; events: JobEvent; input: JobContext; meta: StateMeta },
  actions: {
    ...actions,
    fail: assign((_, failure: Failure) => ({ failure })),
    count: assign(({ context }, event: Ended) => ({ shards: counted(context, event) })),
    plan: assign(({ context }, { total, manifest, holders }: Planned) => ({ manifest, shards: { ...context.shards, total }, ...(holders && { holders }) })),
  },
}).createMachine({
  id: 'job',
  context: ({ input }) => input,
  initial: 'new',
  states: {
    new: {
      on: {
        submit: [
          // Without inputs there is nothing to list.
          {
            target: 'running',
            guard: ({ event }) => event.planned !== undefined,
            actions: { type: 'plan', params: ({ context, event }) => event.planned ?? { total: 0, manifest: context.manifest ?? '' } },
          },
          'planning',
        ],
      },
    },
    /** Inputs are listed once; the manifest comes in parts and is frozen by `planned`. */
    planning: {
      meta: by('requester', untilEnd),
      entry: emit(() => [{ do: 'effect', type: 'plan', data: null }]),
      on: {
        planning: { actions: 'note' },
        planned: {
          target: 'running',
          actions: { type: 'plan', params: ({ event }) => event },
        },
        'plan-failed': { target: 'composing', actions: { type: 'fail', params: ({ event }) => event.failure } },
        cancel: { target: 'composing', actions: [assign({ cancelled: true }), emit(() => [{ do: 'effect', type: 'abort', data: null }])] },
        deadline: { target: 'composing', actions: [{ type: 'fail', params: overdue }, emit(() => [{ do: 'effect', type: 'abort', data: null }])] },
      },
    },
    running: {
      meta: by('shard', untilEnd),
      entry: [{ type: 'emit', params: ({ context, event }) => openNext(context, event.known) }, assign({ shards: ({ context }) => opened(context) })],
      on: {
        'shard-ended': [
          {
            target: 'stopping',
            guard: ({ context, event }) => tooManyFailed(context, event) && !isLast(context),
            actions: [
              { type: 'fail', params: ({ context, event }) => summed(context, event) },
              { type: 'count', params: ({ event }) => event },
            ],
          },
          {
            target: 'composing',
            guard: ({ context, event }) => tooManyFailed(context, event),
            actions: [
              { type: 'fail', params: ({ context, event }) => summed(context, event) },
              { type: 'count', params: ({ event }) => event },
            ],
          },
          { target: 'composing', guard: ({ context }) => isLast(context), actions: { type: 'count', params: ({ event }) => event } },
          {
            actions: [
              { type: 'count', params: ({ event }) => event },
              { type: 'emit', params: ({ context, event }) => openNext(context, event.known) },
              assign({ shards: ({ context }) => opened(context) }),
            ],
          },
        ],
        cancel: { target: 'stopping', actions: assign({ cancelled: true }) },
        deadline: { target: 'stopping', actions: { type: 'fail', params: overdue } },
      },
    },
    /** The outcome is known; what still runs is stopped. */
    stopping: {
      meta: by('shard', (context) => context.times.stop),
      entry: { type: 'emit', params: ({ event }) => event.known.active.map((id) => ({ do: 'tell', kind: 'shard', id, event: { type: 'stop' } })) },
      on: {
        'shard-ended': [
          { target: 'composing', guard: ({ context }) => context.shards.active === 1, actions: { type: 'count', params: ({ event }) => event } },
          { actions: { type: 'count', params: ({ event }) => event } },
        ],
        cancel: { actions: 'note' },
        deadline: { actions: 'note' },
      },
    },
    /** The shards' references become one directory; no data moves. Where nothing is published there is nothing to do. */
    composing: {
      meta: by('requester', (context) => context.times.compose),
      entry: { type: 'emit', params: ({ event }) => (event.known.composes ? [{ do: 'effect', type: 'compose', data: null }] : []) },
      always: { target: 'ended', guard: ({ event }) => !event.known.composes, actions: assign({ reference: { type: 'none' } }) },
      on: {
        composed: { target: 'ended', actions: assign({ reference: ({ event }) => event.reference }) },
        'compose-failed': { target: 'ended', actions: { type: 'fail', params: ({ context, event }) => context.failure ?? event.failure } },
        planning: { actions: 'note' },
        planned: { actions: 'note' },
        'plan-failed': { actions: 'note' },
        cancel: { actions: 'note' },
        deadline: {
          target: 'ended',
          actions: { type: 'fail', params: ({ context }) => context.failure ?? { code: 'publish-failed', detail: 'the result could not be composed in time' } },
        },
      },
    },
    ended: {
      meta: by('job', () => 0),
      always: [
        { target: 'cancelled', guard: ({ context }) => context.cancelled },
        { target: 'failed', guard: ({ context }) => context.failure !== undefined },
        { target: 'completed' },
      ],
    },
    completed: { type: 'final' },
    failed: { type: 'final' },
    cancelled: { type: 'final' },
  },
})
