import { type Failure, type FailureCode, type Reference, type Refusal, refusals as refusalTable, type Task } from '@skrei/job-spec'
import type { Body, Terms } from '@skrei/protocol'
import { assign, setup } from 'xstate'
import type { ObjectEvent, Output } from '../kernel/event.ts'
import { meta, type StateMeta } from '../kernel/machine.ts'
import { actions, type Enveloped, emit } from './emit.ts'
import type { ExecutionContext, Outcome } from './execution.ts'
import { type Barred, type Refused, withBarred } from './refused.ts'

/** One node that was asked, best-ranked first. */
export interface Asked {
  readonly node: string
  readonly askId: string
  readonly execution: string
  readonly answer?: 'bid' | 'declined'
  readonly refusals?: readonly Refusal[]
}

export interface Resting {
  readonly node: string
  readonly until: number
  readonly refusals: readonly Refusal[]
}

export interface ExecutionRecord {
  readonly id: string
  readonly node: string
  readonly outcome: string
  readonly failure?: Failure
}

/** One part of a job's input, on its way through placements and attempts. Lists are bounded: by the asks of a round and by `retry.attempts`. */
export interface ShardContext {
  readonly id: string
  readonly jobId: string
  readonly index: number
  readonly attempt: number
  /** Rises with every ask, so that an ask id is never used twice. */
  readonly round: number
  /** How long one attempt may wait for a node, and until when this one may; milliseconds. */
  readonly queue: number
  readonly placeBy?: number
  readonly asked: readonly Asked[]
  /** Only the best-ranked node was asked so far. */
  readonly alone?: boolean
  /** Nodes that said they never could, with their reasons: the latest 64, and of those before them one reason for each code. */
  readonly barred: readonly Barred[]
  readonly refused?: readonly Refused[]
  /** Nodes that said when to ask them again, and until then are not; the latest 64. */
  readonly resting?: readonly Resting[]
  readonly executions: readonly ExecutionRecord[]
  readonly epoch: number
  readonly retry: { readonly attempts: number; readonly on: readonly FailureCode[]; readonly backoff: number; readonly perNode: number }
  readonly times: {
    readonly widen: number
    readonly bidWindow: number
    readonly retryAfter: number
    readonly longestRetryAfter: number
    readonly maxAsks: number
    readonly execution: ExecutionContext['times']
  }
  readonly publisher: string
  readonly stopping: boolean
  readonly result?: Outcome
  readonly reference?: Reference
  readonly failure?: Failure
  /** What the last execution that was stopped, or failed without a result, wrote until then. */
  readonly logs?: Reference
  readonly verdict?: { readonly assurance: 'none'; readonly bound: number }
}

/** What the requester knows in the turn: whom to ask next (none twice), or why nobody can be asked. */
export interface ShardFacts {
  readonly candidates: readonly Asked[]
  /** Set when no known node could ever run the task. */
  readonly hopeless: Failure | undefined
  /** Sums up the answers so far, for people. */
  readonly summary: string
  /** What it fails with when its time to be placed is over: that all refused, where they did, else that nobody was free. */
  readonly overdue: Failure
  readonly ask: { readonly task: Task; readonly shard: Body<'ask'>['shard']; readonly terms: Terms }
}

export type ShardEvent = Enveloped<
  ShardFacts,
  | { readonly type: 'open'; readonly context: ShardContext }
  | { readonly type: 'bid'; readonly node: string; readonly askId: string; readonly execution: string }
  | { readonly type: 'decline'; readonly node: string; readonly askId: string; readonly refusals: readonly Refusal[]; readonly retryAfter?: number }
  | {
      readonly type: 'execution-ended'
      readonly execution: string
      readonly outcome: 'completed' | 'failed' | 'lost' | 'refused' | 'stopped'
      readonly result?: Outcome
      readonly failure?: Failure
      readonly reference?: Reference
      readonly logs?: Reference
    }
  | { readonly type: 'stop' }
  | { readonly type: 'deadline' }
>
interface Given {
  readonly context: ShardContext
  readonly event: ShardEvent
}
type Ended = Extract<ShardEvent, { type: 'execution-ended' }>

const by = meta<ShardContext>

const ask = (context: ShardContext, facts: ShardFacts, to: Asked): readonly Output[] => [
  { do: 'send', to: to.node, expires: context.queue, type: 'ask', body: { askId: to.askId, job: context.jobId, ...facts.ask } },
]
const release = (context: ShardContext, asked: Asked): Output => ({
  do: 'send',
  to: asked.node,
  expires: context.queue,
  type: 'release',
  body: { askId: asked.askId, execution: asked.execution },
})
/** Everyone who may still hold something or wait for us. */
const releaseAll = (context: ShardContext, except?: string): readonly Output[] =>
  context.asked.filter((asked) => asked.answer !== 'declined' && asked.execution !== except).map((asked) => release(context, asked))

const withBid = (asked: readonly Asked[], execution: string): readonly Asked[] =>
  asked.map((one) => (one.execution === execution ? { ...one, answer: 'bid' } : one))

const awarded = (context: ShardContext): Asked | undefined => context.asked.find((asked) => asked.answer === 'bid')

/** Asked in this round, this node, and it has not answered: only then does an answer count. */
const isAsked = (context: ShardContext, event: { readonly node: string; readonly askId: string }): boolean =>
  context.asked.some((asked) => asked.askId === event.askId && asked.node === event.node && asked.answer === undefined)
const isOffer = (context: ShardContext, event: { readonly node: string; readonly askId: string; readonly execution: string }): boolean =>
  isAsked(context, event) && context.asked.some((asked) => asked.execution === event.execution && asked.askId === event.askId)
/** Nobody ranked better than this bidder can still answer. */
const isBest = (context: ShardContext, execution: string): boolean => {
  const place = context.asked.findIndex((asked) => asked.execution === execution)
  return context.asked.slice(0, place).every((asked) => asked.answer === 'declined')
}
/** As much of a node's reasons as is worth keeping. */
const shortened = (refusals: readonly Refusal[]): readonly Refusal[] =>
  refusals.slice(0, 4).map((refusal) => ({ ...refusal, detail: refusal.detail.slice(0, 256) }))
const withDecline = (
  context: ShardContext,
  event: { readonly node: string; readonly askId: string; readonly refusals: readonly Refusal[]; readonly retryAfter?: number; readonly now: number },
): Partial<ShardContext> => {
  const refusals = shortened(event.refusals)
  const others = (context.resting ?? []).filter(({ node, until }) => node !== event.node && until > event.now)
  const until = event.now + Math.min(event.retryAfter ?? 0, context.times.longestRetryAfter)
  return {
    asked: context.asked.map((one) => (one.askId === event.askId ? { ...one, answer: 'declined', refusals } : one)),
    ...(until > event.now && { resting: [...others, { node: event.node, until, refusals }].slice(-64) }),
    ...(refusals.some((refusal) => refusalTable[refusal.code].permanent) && withBarred(context, { node: event.node, refusals })),
  }
}
/** How many of those asked, the first ones, are let go because as many wait as may, and a better one was found. */
const surplus = ({ asked, times }: ShardContext, candidates: readonly Asked[]): number => Math.max(0, asked.length + candidates.length - times.maxAsks)

/** With this decline, the best-ranked of those who have not declined is one who bid. */
const leavesBest = (context: ShardContext, askId: string): boolean =>
  context.asked.find((asked) => asked.answer !== 'declined' && asked.askId !== askId)?.answer === 'bid'
/** This decline was the last answer, and all said no. */
const allDeclined = (context: ShardContext, askId: string): boolean => context.asked.every((asked) => asked.answer === 'declined' || asked.askId === askId)

/** A bid that nobody waits for, but for the awarded one's, repeated. */
const letGo = emit(
  ({ context, event }: { readonly context: ShardContext; readonly event: { readonly node: string; readonly askId: string; readonly execution: string } }) =>
    awarded(context)?.execution === event.execution ? [] : [release(context, event)],
)

const jobEvent = (context: ShardContext, outcome: 'completed' | 'failed' | 'cancelled'): Output => ({
  do: 'tell',
  kind: 'job',
  id: context.jobId,
  event: { type: 'shard-ended', index: context.index, outcome, ...(context.failure && { failure: context.failure }) },
})

const record = (context: ShardContext, event: Ended): readonly ExecutionRecord[] => [
  ...context.executions.slice(1 - mostExecutions),
  { id: event.execution, node: nodeOf(context, event.execution), outcome: event.outcome, ...(event.failure && { failure: event.failure }) },
]
/** Refused awards cost no attempt: of them, the latest are kept. */
const mostExecutions = 200
const nodeOf = (context: ShardContext, execution: string): string => context.asked.find((asked) => asked.execution === execution)?.node ?? ''

const retries = (context: ShardContext, event: Ended): boolean =>
  event.outcome !== 'completed' &&
  !context.stopping &&
  context.attempt < context.retry.attempts &&
  context.retry.on.includes(event.failure?.code ?? 'node-fault')

/** Ten minutes: attempts may be a hundred. */
const longestBackoff = 600_000
const failure = (code: FailureCode, detail: string): Failure => ({ code, detail })

export const shardMachine = setup({
  types: {} as { context: ShardContext; events: ShardEvent; input: ShardContext; meta: StateMeta },
  actions: {
    ...actions,
    /** Adds the turn's candidates to those asked. */
    remember: assign(({ context }, { candidates, now }: { readonly candidates: readonly Asked[]; readonly now: number }) => ({
      asked: [...context.asked, ...candidates].slice(surplus(context, candidates)),
      round: context.round + candidates.length,
      alone: context.asked.length === 0,
      placeBy: context.placeBy || now + context.queue,
    })),
    fail: assign((_, given: Failure) => ({ failure: given })),
    file: assign(({ context }, event: Ended) => ({ executions: record(context, event), ...(event.logs && { logs: event.logs }) })),
    conclude: assign((_, event: Ended) => ({
      ...(event.result && { result: event.result }),
      ...(event.reference && { reference: event.reference }),
      ...(event.failure && { failure: event.failure }),
    })),
  },
}).createMachine({
  id: 'shard',
  context: ({ input }) => input,
  initial: 'new',
  states: {
    new: { on: { open: 'placing' } },
    /** Nodes are asked, nobody has offered yet: the best-ranked alone at first, others when it does not bid in a moment. An ask may wait at a node; every `widen` more nodes are asked. */
    placing: {
      meta: by('compute', (context, now) => Math.min(context.alone ? context.times.bidWindow : context.times.widen, (context.placeBy ?? now) - now)),
      entry: [
        {
          type: 'emit',
          params: ({ context, event: { known } }) => [
            ...known.candidates.flatMap((candidate) => ask(context, known, candidate)),
            ...releaseAll({ ...context, asked: context.asked.slice(0, surplus(context, known.candidates)) }),
          ],
        },
        { type: 'remember', params: ({ event }) => ({ candidates: event.known.candidates, now: event.now }) },
      ],
      always: [
        {
          target: 'failed',
          guard: ({ context, event }) => context.asked.length === 0 && event.known.hopeless !== undefined,
          actions: { type: 'fail', params: ({ event }) => event.known.hopeless ?? failure('no-node', event.known.summary) },
        },
        { target: 'waiting', guard: ({ context }) => context.asked.length === 0 },
      ],
      on: {
        bid: [
          {
            target: 'running',
            guard: ({ context, event }) => isOffer(context, event) && isBest(context, event.execution),
            actions: assign({ asked: ({ context, event }) => withBid(context.asked, event.execution) }),
          },
          {
            target: 'choosing',
            guard: ({ context, event }) => isOffer(context, event),
            actions: assign({ asked: ({ context, event }) => withBid(context.asked, event.execution) }),
          },
          { actions: letGo },
        ],
        decline: [
          {
            target: 'failed',
            guard: ({ context, event }) => isAsked(context, event) && allDeclined(context, event.askId) && event.known.hopeless !== undefined,
            actions: [
              assign(({ context, event }) => withDecline(context, event)),
              { type: 'fail', params: ({ event }) => event.known.hopeless ?? failure('no-node', event.known.summary) },
            ],
          },
          {
            target: 'placing',
            reenter: true,
            guard: ({ context, event }) => isAsked(context, event) && allDeclined(context, event.askId) && event.known.candidates.length > 0,
            actions: assign(({ context, event }) => withDecline(context, event)),
          },
          {
            target: 'waiting',
            guard: ({ context, event }) => isAsked(context, event) && allDeclined(context, event.askId),
            actions: assign(({ context, event }) => withDecline(context, event)),
          },
          { guard: ({ context, event }) => isAsked(context, event), actions: assign(({ context, event }) => withDecline(context, event)) },
          { actions: 'note' },
        ],
        stop: { target: 'cancelled', actions: { type: 'emit', params: ({ context }) => releaseAll(context) } },
        deadline: [
          {
            target: 'failed',
            guard: ({ context, event }) => event.now >= (context.placeBy ?? 0),
            actions: [
              { type: 'emit', params: ({ context }) => releaseAll(context) },
              { type: 'fail', params: ({ event }) => event.known.overdue },
            ],
          },
          {
            target: 'placing',
            reenter: true,
            guard: ({ context, event }) => context.asked.length < context.times.maxAsks || event.known.candidates.length > 0,
          },
          { actions: 'note' },
        ],
      },
    },
    /** There is a bid; somebody ranked better may still answer for a moment. */
    choosing: {
      meta: by('compute', (context) => context.times.bidWindow),
      on: {
        bid: [
          {
            target: 'running',
            guard: ({ context, event }) => isOffer(context, event) && isBest(context, event.execution),
            actions: assign({ asked: ({ context, event }) => withBid(context.asked, event.execution) }),
          },
          {
            guard: ({ context, event }) => isOffer(context, event),
            actions: assign({ asked: ({ context, event }) => withBid(context.asked, event.execution) }),
          },
          { actions: letGo },
        ],
        decline: [
          {
            target: 'running',
            guard: ({ context, event }) => isAsked(context, event) && leavesBest(context, event.askId),
            actions: assign(({ context, event }) => withDecline(context, event)),
          },
          { guard: ({ context, event }) => isAsked(context, event), actions: assign(({ context, event }) => withDecline(context, event)) },
          { actions: 'note' },
        ],
        stop: { target: 'cancelled', actions: { type: 'emit', params: ({ context }) => releaseAll(context) } },
        deadline: [{ target: 'running', guard: ({ context }) => awarded(context) !== undefined }, { target: 'waiting' }],
      },
    },
    /** Awarded to the best-ranked bidder; the rest are let go. */
    running: {
      meta: by('execution', (context) => 4 * context.times.execution.lease),
      entry: [
        {
          type: 'emit',
          params: ({ context }) => {
            const best = awarded(context)
            if (best === undefined) return []
            const execution: ExecutionContext = {
              id: best.execution,
              shardId: context.id,
              node: best.node,
              askId: best.askId,
              epoch: context.epoch + 1,
              assurance: 'none',
              publisher: context.publisher,
              times: context.times.execution,
            }
            return [...releaseAll(context, best.execution), { do: 'tell', kind: 'execution', id: best.execution, event: { type: 'award', context: execution } }]
          },
        },
        assign(({ context }) => ({ epoch: context.epoch + 1, asked: context.asked.filter((asked) => asked === awarded(context)) })),
      ],
      on: {
        'execution-ended': [
          {
            target: 'cancelled',
            guard: ({ context, event }) => context.stopping && event.outcome !== 'completed',
            actions: { type: 'file', params: ({ event }) => event },
          },
          {
            target: 'completed',
            guard: ({ event }) => event.outcome === 'completed',
            actions: [
              { type: 'file', params: ({ event }) => event },
              { type: 'conclude', params: ({ event }) => event },
              assign({ verdict: { assurance: 'none', bound: 1 } }),
            ],
          },
          {
            target: 'waiting',
            guard: ({ event }) => event.outcome === 'refused',
            actions: [{ type: 'file', params: ({ event }) => event }, assign({ asked: [] })],
          },
          {
            target: 'backoff',
            guard: ({ context, event }) => retries(context, event),
            actions: [{ type: 'file', params: ({ event }) => event }, assign(({ context }) => ({ attempt: context.attempt + 1, asked: [], placeBy: 0 }))],
          },
          {
            target: 'failed',
            actions: [
              { type: 'file', params: ({ event }) => event },
              { type: 'conclude', params: ({ event }) => event },
            ],
          },
        ],
        bid: { actions: letGo },
        decline: { actions: 'note' },
        stop: {
          // The execution ends, and then this does.
          actions: [
            assign({ stopping: true }),
            {
              type: 'emit',
              params: ({ context }) => context.asked.map((asked) => ({ do: 'tell', kind: 'execution', id: asked.execution, event: { type: 'stop' } })),
            },
          ],
        },
        deadline: { actions: 'note' },
      },
    },
    backoff: {
      meta: by('shard', (context) => Math.min(longestBackoff, context.retry.backoff * 2 ** (context.attempt - 2))),
      on: {
        deadline: 'placing',
        stop: 'cancelled',
        bid: { actions: letGo },
        decline: { actions: 'note' },
      },
    },
    /** Nobody who could be asked: all busy, or none known. They are asked again a little later. */
    waiting: {
      meta: by('shard', (context, now) => Math.min(context.times.retryAfter, (context.placeBy ?? now) - now)),
      on: {
        deadline: [
          {
            target: 'failed',
            guard: ({ context, event }) => event.now >= (context.placeBy ?? 0),
            actions: { type: 'fail', params: ({ event }) => event.known.overdue },
          },
          {
            target: 'failed',
            guard: ({ event }) => event.known.hopeless !== undefined && event.known.candidates.length === 0,
            actions: { type: 'fail', params: ({ event }) => event.known.hopeless ?? failure('no-node', event.known.summary) },
          },
          { target: 'placing', actions: assign({ asked: [] }) },
        ],
        stop: 'cancelled',
        bid: { actions: letGo },
        decline: { actions: 'note' },
      },
    },
    completed: { type: 'final', entry: emit(({ context }: Given) => [jobEvent(context, 'completed')]) },
    failed: { type: 'final', entry: emit(({ context }: Given) => [jobEvent(context, 'failed')]) },
    cancelled: { type: 'final', entry: emit(({ context }: Given) => [jobEvent(context, 'cancelled')]) },
  },
})

/** What is kept of one that is over: what it came to and how often it might have been tried, and what `lateShard` needs. */
export const shardRemains = ({ retry, times, barred, resting, alone, placeBy, ...kept }: ShardContext): ShardContext =>
  ({ ...kept, retry: { attempts: retry.attempts } }) as unknown as ShardContext

/** A bid that comes when nobody is wanted any more: the bidder is let go. */
export const lateShard = (context: ShardContext, event: ObjectEvent): readonly Output[] =>
  event.type === 'bid' ? [release(context, { node: String(event['node']), askId: String(event['askId']), execution: String(event['execution']) })] : []
