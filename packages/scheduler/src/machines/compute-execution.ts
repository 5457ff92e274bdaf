import { type Failure, type FileEntry, type Reference, type Refusal, refusals as refusalTable, type Task } from '@skrei/job-spec'
import type { Terms } from '@skrei/protocol'
import { assign, setup } from 'xstate'
import type { ObjectEvent, Output } from '../kernel/event.ts'
import { type Holding, meta, type StateMeta } from '../kernel/machine.ts'
import { actions, type Enveloped, emit } from './emit.ts'
import { acceptable, type Outcome, outcomeOf } from './execution.ts'
import { saidRefusals } from './said-refusals.ts'

/** One execution as the compute node sees it, from the ask to the clean-up. What it holds in a state is the reservation. */
export interface ComputeContext {
  readonly id: string
  readonly requester: string
  readonly askId: string
  readonly job: string
  readonly task: Task
  readonly shard: { readonly index: number; readonly count: number; readonly manifest: string; readonly files?: readonly FileEntry[] }
  readonly terms: Terms
  readonly times: { readonly assess: number; readonly bidTtl: number; readonly stage: number; readonly grace: number; readonly stop: number }
  readonly queuedAt?: number
  /** How often others were served before it while it was its turn. */
  readonly bypassed?: number
  readonly devices: readonly string[]
  readonly stagedBytes?: number
  /** The directories in the guest's root that the inputs lie in. */
  readonly tops?: readonly string[]
  readonly outcome?: Outcome
  /** When the outcome was reported, by this node's clock. */
  readonly finishedAt?: number
  readonly epoch?: number
  readonly reference?: Reference
  /** Where what it wrote to its streams lies, where its outputs are not published. */
  readonly logs?: Reference
  /** The phase in which it was stopped. */
  readonly stoppedIn?: string
}

/** What the node knows in the turn: whether the task fits now (and on which devices), ever, and whether its queue has room. */
export interface ComputeFacts {
  readonly fit: { readonly devices: readonly string[] } | { readonly refusal: Refusal }
  /** Whether it may take what fits, and which waiting ask it is served before then. */
  readonly turn: { readonly may: boolean; readonly passes?: string }
  readonly queueFull: boolean
  /** As many asks are looked into as may be at one time, of this requester or of all. */
  readonly crowded: boolean
  /** The node takes nothing new: it is about to stop. Then `turn` is nobody's. */
  readonly draining: boolean
  /** Its requester let too many bids lapse. */
  readonly paused: boolean
  /** When to ask again, jittered; milliseconds. */
  readonly retryAfter: number
  readonly free: { readonly cpu: number; readonly memory: number; readonly disk: number }
}

export type ComputeEvent = Enveloped<
  ComputeFacts,
  | { readonly type: 'ask'; readonly context: ComputeContext }
  | { readonly type: 'assessed'; readonly refusals: readonly Refusal[] }
  | { readonly type: 'capacity' }
  | { readonly type: 'bypassed' }
  | { readonly type: 'drain' }
  | { readonly type: 'award' }
  | { readonly type: 'release' }
  | { readonly type: 'staged'; readonly bytes: number; readonly tops: readonly string[] }
  | { readonly type: 'ended'; readonly outcome: Outcome }
  | { readonly type: 'verdict'; readonly verdict: string; readonly epoch: number; readonly act: 'publish' | 'hold' | 'drop' }
  | { readonly type: 'published'; readonly reference: Reference }
  | { readonly type: 'publish-failed'; readonly failure: Failure }
  | { readonly type: 'superseded'; readonly epoch: number }
  | { readonly type: 'stop' }
  | { readonly type: 'stopped' }
  | { readonly type: 'logged'; readonly logs?: Reference }
  | { readonly type: 'settle' }
  | { readonly type: 'unpublished' }
  | { readonly type: 'cleaned' }
  | { readonly type: 'deadline' }
>
interface Given {
  readonly context: ComputeContext
}

const by = meta<ComputeContext>
const toRequester = (context: ComputeContext) => ({ do: 'send', to: context.requester, expires: context.terms.retention }) as const
const sendRefused = (code: 'expired' | 'released' | 'stopped') =>
  emit(({ context }: Given) => [{ ...toRequester(context), type: 'refused', body: { execution: context.id, code } }])
const sendStopped = (phase: string) => emit(({ context }: Given) => [{ ...toRequester(context), type: 'stopped', body: { execution: context.id, phase } }])
const unpublished = (context: ComputeContext, failure: Failure): Output => ({
  ...toRequester(context),
  type: 'publish-failed',
  body: { execution: context.id, epoch: context.epoch ?? 0, failure },
})

const publishLogs = emit(({ context }: Given) => [{ do: 'effect', type: 'publish-logs', data: { publisher: context.terms.publishers[0]?.type ?? 'none' } }])
/** Logs are worth waiting for, not long: the requester waits no longer than for the stop. */
const logging = (context: ComputeContext): number => context.times.stop / 2

const declined = (context: ComputeContext, reasons: readonly Refusal[], { free, retryAfter }: Pick<ComputeFacts, 'free' | 'retryAfter'>): Output => {
  const refusals = [...saidRefusals(reasons)]
  return {
    ...toRequester(context),
    expires: context.terms.queue,
    type: 'decline',
    body: { askId: context.askId, refusals, free, ...(!refusals.some(({ code }) => refusalTable[code].permanent) && { retryAfter }) },
  }
}

const drained = (context: ComputeContext, known: ComputeFacts): readonly Output[] => [
  declined(context, [{ code: 'draining', detail: 'the node takes nothing new: it is about to stop' }], known),
]
/** Another node may have room for it at once. A bid that was made stands. */
const drain = {
  target: 'declined',
  actions: { type: 'emit', params: ({ context, event }: Given & { readonly event: { readonly known: ComputeFacts } }) => drained(context, event.known) },
} as const

/** Reserves: with the devices found, and to the account of the one that it is served before. */
const taken = [
  { type: 'allocate' as const, params: ({ event }: { readonly event: Extract<ComputeEvent, { type: 'assessed' | 'capacity' }> }) => event.known.fit },
  emit(({ event }: { readonly event: Extract<ComputeEvent, { type: 'assessed' | 'capacity' }> }) => {
    const { passes } = event.known.turn
    return passes === undefined ? [] : [{ do: 'tell', kind: 'compute', id: passes, event: { type: 'bypassed' } }]
  }),
]

export const computeExecutionMachine = setup({
  types: {} as { context: ComputeContext; events: ComputeEvent; input: ComputeContext; meta: StateMeta },
  actions: {
    ...actions,
    allocate: assign((_, fit: ComputeFacts['fit']) => ('devices' in fit ? { devices: fit.devices } : {})),
    keep: assign((_, outcome: Outcome) => ({ outcome })),
    log: assign((_, logs: Reference | undefined) => (logs === undefined ? {} : { logs })),
  },
}).createMachine({
  id: 'compute-execution',
  context: ({ input }) => input,
  initial: 'new',
  states: {
    new: {
      on: {
        ask: [
          {
            target: 'declined',
            guard: ({ event }) => event.known.draining,
            actions: { type: 'emit', params: ({ event }) => drained(event.context, event.known) },
          },
          {
            target: 'declined',
            guard: ({ event }) => event.known.paused,
            actions: {
              type: 'emit',
              params: ({ event }) => [declined(event.context, [{ code: 'busy', detail: 'too many of your bids came to nothing' }], event.known)],
            },
          },
          {
            target: 'declined',
            guard: ({ event }) => event.known.crowded,
            actions: {
              type: 'emit',
              params: ({ event }) => [declined(event.context, [{ code: 'queue-full', detail: 'too many asks are being looked into' }], event.known)],
            },
          },
          'assessing',
        ],
      },
    },
    assessing: {
      meta: by('compute', (context) => context.times.assess),
      entry: emit(() => [{ do: 'effect', type: 'assess', data: null }]),
      on: {
        assessed: [
          {
            target: 'declined',
            guard: ({ event }) => event.refusals.length > 0,
            actions: { type: 'emit', params: ({ context, event }) => [declined(context, event.refusals, event.known)] },
          },
          { target: 'declined', guard: ({ event }) => event.known.draining, actions: drain.actions },
          {
            target: 'reserved',
            guard: ({ event }) => 'devices' in event.known.fit && event.known.turn.may,
            actions: taken,
          },
          {
            target: 'declined',
            guard: ({ event }) => 'refusal' in event.known.fit && event.known.fit.refusal.code === 'exceeds-node',
            actions: {
              type: 'emit',
              params: ({ context, event }) => [declined(context, 'refusal' in event.known.fit ? [event.known.fit.refusal] : [], event.known)],
            },
          },
          {
            target: 'declined',
            guard: ({ event }) => event.known.queueFull,
            actions: {
              type: 'emit',
              params: ({ context, event }) => [declined(context, [{ code: 'queue-full', detail: 'the queue of asks is full' }], event.known)],
            },
          },
          { target: 'queued', actions: assign({ queuedAt: ({ event }) => event.now }) },
        ],
        drain,
        release: 'released',
        stop: { target: 'released', actions: sendStopped('assessing') },
        award: { target: 'released', actions: sendRefused('expired') },
        deadline: {
          target: 'declined',
          actions: {
            type: 'emit',
            params: ({ context, event }) => [
              declined(context, [{ code: 'assess-failed', detail: 'the sources or the engine did not answer in time' }], event.known),
            ],
          },
        },
      },
    },
    /** The ask waits, holding nothing. */
    queued: {
      meta: by('compute', (context) => context.terms.queue),
      on: {
        capacity: [
          {
            target: 'reserved',
            guard: ({ event }) => 'devices' in event.known.fit && event.known.turn.may,
            actions: taken,
          },
          { actions: 'note' },
        ],
        bypassed: { actions: assign({ bypassed: ({ context }) => (context.bypassed ?? 0) + 1 }) },
        drain,
        release: 'released',
        stop: { target: 'released', actions: sendStopped('queued') },
        award: { target: 'released', actions: sendRefused('expired') },
        deadline: {
          target: 'declined',
          actions: {
            type: 'emit',
            params: ({ context, event }) => [
              declined(context, 'refusal' in event.known.fit ? [event.known.fit.refusal] : [{ code: 'busy', detail: 'others are served first' }], event.known),
            ],
          },
        },
      },
    },
    reserved: {
      meta: by('requester', (context) => context.times.bidTtl),
      entry: emit(({ context }: Given) => [
        {
          ...toRequester(context),
          expires: context.times.bidTtl,
          type: 'bid',
          body: { askId: context.askId, execution: context.id, ttl: context.times.bidTtl },
        },
      ]),
      on: {
        award: 'staging',
        release: 'released',
        stop: { target: 'released', actions: sendStopped('reserved') },
        // The bid may never have arrived: a requester that still waits for an answer gets one, and may ask again.
        deadline: {
          target: 'expired',
          actions: {
            type: 'emit',
            params: ({ context, event }) => [declined(context, [{ code: 'busy', detail: 'the bid was not answered in time' }], event.known)],
          },
        },
      },
    },
    staging: {
      meta: by('compute', (context) => context.times.stage),
      entry: emit(({ context }: Given) => [
        { ...toRequester(context), type: 'awarded', body: { execution: context.id } },
        { do: 'effect', type: 'stage', data: null },
      ]),
      on: {
        award: { actions: { type: 'emit', params: ({ context }) => [{ ...toRequester(context), type: 'awarded', body: { execution: context.id } }] } },
        release: { actions: 'note' },
        staged: { target: 'running', actions: assign({ stagedBytes: ({ event }) => event.bytes, tops: ({ event }) => event.tops }) },
        ended: { target: 'finished', actions: { type: 'keep', params: ({ event }) => event.outcome } },
        stop: 'stopping',
        deadline: { target: 'halting', actions: { type: 'keep', params: overdue('source-timeout', 'the inputs were not staged in time') } },
      },
    },
    running: {
      meta: by('compute', (context) => context.task.timeout + context.times.grace),
      entry: emit(() => [{ do: 'effect', type: 'run', data: null }]),
      on: {
        ended: [
          { target: 'finished', guard: ({ event }) => acceptable(event.outcome), actions: { type: 'keep', params: ({ event }) => event.outcome } },
          { target: 'reporting', actions: { type: 'keep', params: ({ event }) => event.outcome } },
        ],
        award: { actions: { type: 'emit', params: ({ context }) => [{ ...toRequester(context), type: 'awarded', body: { execution: context.id } }] } },
        stop: 'stopping',
        deadline: { target: 'halting', actions: { type: 'keep', params: overdue('node-fault', 'the engine did not end the execution at its time limit') } },
      },
    },
    /** Ended by the node, not by its requester: stopped first, then reported. */
    halting: {
      meta: by('compute', (context) => context.times.stop),
      entry: emit(() => [{ do: 'effect', type: 'stop', data: null }]),
      on: { stopped: 'reporting', ended: { actions: 'note' }, staged: { actions: 'note' }, stop: 'stopping', deadline: { actions: 'note' } },
    },
    /** A failure that nobody will accept: its outputs are not published, what the program wrote to its streams is. However that goes, the failure is reported. */
    reporting: {
      meta: by('compute', logging),
      entry: publishLogs,
      on: {
        logged: { target: 'finished', actions: { type: 'log', params: ({ event }) => event.logs } },
        deadline: 'finished',
        stop: { target: 'logging', actions: assign({ stoppedIn: 'finished' }) },
        ended: { actions: 'note' },
        award: { actions: 'note' },
      },
    },
    /** Nothing runs any more: CPU, memory and devices are free, the outputs are kept. */
    finished: {
      meta: by('requester', (context) => context.terms.retention),
      entry: [
        assign({ finishedAt: ({ event }) => event.now }),
        emit(({ context }: Given) => [
          { ...toRequester(context), type: 'finished', body: { execution: context.id, ...reported(context), ...(context.logs && { logs: context.logs }) } },
        ]),
      ],
      on: {
        verdict: [
          { target: 'publishing', guard: ({ event }) => event.act === 'publish', actions: assign({ epoch: ({ event }) => event.epoch }) },
          { target: 'cleaning', guard: ({ event }) => event.act === 'drop' },
          { actions: 'note' },
        ],
        settle: 'cleaning',
        superseded: 'cleaning',
        stop: { target: 'logging', actions: assign({ stoppedIn: 'finished' }) },
        ended: { actions: 'note' },
        stopped: { actions: 'note' },
        logged: { actions: 'note' },
        deadline: 'cleaning',
      },
    },
    publishing: {
      // Counted from when this node asked for it, by reporting: however late the verdict came, the requester waits longer (PROTOCOL.md rule 1).
      meta: by('compute', (context, now) => (context.finishedAt ?? now) + context.terms.publish - now),
      entry: emit(({ context }: Given) => [{ do: 'effect', type: 'publish', data: { publisher: context.terms.publishers[0]?.type ?? 'none' } }]),
      on: {
        published: { target: 'published', actions: assign({ reference: ({ event }) => event.reference }) },
        'publish-failed': {
          target: 'finished-unpublished',
          actions: { type: 'emit', params: ({ context, event }) => [unpublished(context, event.failure)] },
        },
        superseded: 'withdrawing',
        stop: { target: 'withdrawing', actions: sendStopped('publishing') },
        settle: 'cleaning',
        deadline: { target: 'withdrawing', actions: emit(({ context }) => [unpublished(context, { code: 'publish-failed', detail: 'it took too long' })]) },
      },
    },
    'finished-unpublished': {
      meta: by('requester', (context) => context.terms.retention),
      on: { settle: 'cleaning', stop: { target: 'cleaning', actions: sendStopped('finished') }, superseded: 'cleaning', deadline: 'cleaning' },
    },
    published: {
      meta: by('requester', (context) => context.terms.retention),
      entry: emit(({ context }: Given) => [
        {
          ...toRequester(context),
          type: 'published',
          body: {
            execution: context.id,
            round: 0,
            epoch: context.epoch ?? 0,
            ...(context.outcome?.digest !== undefined && { digest: context.outcome.digest }),
            reference: context.reference ?? { type: 'none' },
          },
        },
      ]),
      on: {
        settle: 'cleaning',
        superseded: 'withdrawing',
        stop: { target: 'withdrawing', actions: sendStopped('published') },
        deadline: 'cleaning',
      },
    },
    withdrawing: {
      meta: by('compute', (context) => context.times.stop),
      entry: emit(({ context }: Given) => [{ do: 'effect', type: 'unpublish', data: { publisher: context.terms.publishers[0]?.type ?? 'none' } }]),
      on: {
        unpublished: 'cleaning',
        published: { actions: 'note' },
        'publish-failed': { actions: 'note' },
        stop: { actions: sendStopped('published') },
        superseded: { actions: 'note' },
        settle: { actions: 'note' },
        verdict: { actions: 'note' },
        deadline: 'cleaning',
      },
    },
    stopping: {
      meta: by('compute', (context) => context.times.stop),
      entry: emit(() => [{ do: 'effect', type: 'stop', data: null }]),
      on: {
        stopped: { target: 'logging', actions: assign({ stoppedIn: 'running' }) },
        ended: { actions: 'note' },
        staged: { actions: 'note' },
        stop: { actions: 'note' },
        release: { actions: 'note' },
        superseded: { actions: 'note' },
        deadline: { actions: 'note' },
      },
    },
    /**
     * Stopped, and nothing runs any more. What the program wrote to its streams is published by itself, and nothing else of it: it is no result, nobody accepted one.
     * However that goes, the requester is told that it is stopped.
     */
    logging: {
      meta: by('compute', logging),
      entry: publishLogs,
      on: {
        logged: {
          target: 'cleaning',
          actions: emit(({ context, event }) => [
            {
              ...toRequester(context),
              type: 'stopped',
              body: { execution: context.id, phase: context.stoppedIn ?? 'running', ...(event.logs && { logs: event.logs }) },
            },
          ]),
        },
        deadline: {
          target: 'cleaning',
          actions: emit(({ context }) => [
            { ...toRequester(context), type: 'stopped', body: { execution: context.id, phase: context.stoppedIn ?? 'running' } },
          ]),
        },
        ended: { actions: 'note' },
        staged: { actions: 'note' },
        stopped: { actions: 'note' },
        stop: { actions: 'note' },
        release: { actions: 'note' },
        settle: { actions: 'note' },
        verdict: { actions: 'note' },
        superseded: { actions: 'note' },
      },
    },
    cleaning: {
      meta: by('compute', (context) => context.times.stop),
      entry: emit(() => [{ do: 'effect', type: 'clean', data: null }]),
      on: {
        cleaned: 'done',
        published: { actions: 'note' },
        'publish-failed': { actions: 'note' },
        ended: { actions: 'note' },
        stopped: { actions: 'note' },
        logged: { actions: 'note' },
        unpublished: { actions: 'note' },
        stop: { actions: sendStopped('finished') },
        settle: { actions: 'note' },
        verdict: { actions: 'note' },
        superseded: { actions: 'note' },
        deadline: { actions: 'note' },
      },
    },
    declined: { type: 'final' },
    released: { type: 'final' },
    expired: { type: 'final' },
    done: { type: 'final' },
  },
})

/** The outcome as reported, with what was staged in the usage. */
const reported = ({ outcome, stagedBytes }: ComputeContext): Outcome => {
  const { usage = {}, facts = {}, ...rest } = outcome ?? {}
  return outcomeOf({ ...rest, usage: { ...usage, ...(stagedBytes !== undefined && { inputBytes: stagedBytes }) }, facts })
}

function overdue(code: Failure['code'], detail: string): Outcome {
  return { failure: { code, detail }, usage: {}, facts: {} }
}

const neverRan: ReadonlySet<string> = new Set(['declined', 'released', 'expired'])
const nothing = { cpu: 0, memory: 0, devices: [] }

/** CPU, memory and devices are held until the program is known to be gone, disk until it is cleaned up. */
export const computeHolds = (state: string, context: ComputeContext): Holding | undefined => {
  if (neverRan.has(state)) return undefined
  const { cpu, memory, disk } = context.task.resources
  switch (state) {
    case 'reserved':
    case 'staging':
    case 'running':
    case 'halting':
    case 'stopping':
      return { cpu, memory, disk, devices: context.devices }
    case 'reporting':
    case 'logging':
    case 'finished':
    case 'finished-unpublished':
    case 'publishing':
    case 'published':
    case 'withdrawing':
    case 'cleaning':
      return { ...nothing, disk }
    default:
      return undefined
  }
}

/** Its messages are signed then, and its requester's: others than its two parties must be able to check them. */
export const isVerifiedHere = ({ terms }: ComputeContext): boolean => terms.verification !== 'none'

/** Of an ask that came to nothing: whose it was. There is no bound to what nobody awards. */
export const cameToNothing = (state: string, { requester }: ComputeContext): string | undefined => (neverRan.has(state) ? requester : undefined)

/** What is kept of an execution that is over: what `lateComputeExecution` needs, and of one that ran what it came to; not its task, which may be large. */
export const computeRemains = (state: string, context: ComputeContext): ComputeContext => {
  const { task, times, queuedAt, bypassed, devices, stagedBytes, tops, finishedAt, ...others } = context
  const kept = { ...others, shard: { index: context.shard.index }, terms: { retention: context.terms.retention, verification: context.terms.verification } }
  return (neverRan.has(state) ? kept : { ...kept, task: { resources: task.resources }, devices }) as unknown as ComputeContext
}

/** A requester that speaks of an execution that is over here. */
export const lateComputeExecution = (state: string, context: ComputeContext, event: ObjectEvent): readonly Output[] => {
  if (event.type === 'award')
    return [{ ...toRequester(context), type: 'refused', body: { execution: context.id, code: state === 'released' ? 'released' : 'expired' } }]
  if (event.type === 'stop' || event.type === 'verdict') return [{ ...toRequester(context), type: 'stopped', body: { execution: context.id, phase: state } }]
  return []
}

/** A requester that speaks of an execution that never was here, or is forgotten; or that asks too often, of which nothing is kept. */
export const unknownComputeExecution = (id: string, event: ObjectEvent): readonly Output[] => {
  const to = { do: 'send', to: String(event['from']), expires: 60_000 } as const
  if (event.type === 'too-many-asks') {
    const refusals: readonly Refusal[] = [{ code: 'busy', detail: 'you ask more often than this node looks into' }]
    return [{ ...to, type: 'decline', body: { askId: String(event['askId']), refusals: [...refusals], retryAfter: Number(event['retryAfter']) } }]
  }
  if (event.type === 'award') return [{ ...to, type: 'refused', body: { execution: id, code: 'unknown' } }]
  if (event.type === 'stop') return [{ ...to, type: 'stopped', body: { execution: id, phase: 'unknown' } }]
  return []
}
