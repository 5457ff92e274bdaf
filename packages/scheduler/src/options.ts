import type { Executor } from '@skrei/executor'
import type { Capacity, Device, Failure, JobSpec, Reference, Refusal, Task, Usage } from '@skrei/job-spec'
import type { Announcement, Incarnation } from '@skrei/protocol'
import type { StateStore } from '@skrei/state-store'
import type { Publisher, Source, Workspace } from '@skrei/storage'
import type { Clock, Transport } from '@skrei/transport'
import type { Assurance, Method } from '@skrei/verifier'
import type { Partitions } from './directory/partitions.ts'
import type { Ranker } from './directory/ranker.ts'
import type { Transition } from './kernel/event.ts'
import type { JobPlan } from './plan.ts'
import type { Settings } from './settings.ts'

/** Four methods; libraries never write to the console. */
export interface Logger {
  debug(message: string, fields?: Readonly<Record<string, unknown>>): void
  info(message: string, fields?: Readonly<Record<string, unknown>>): void
  warn(message: string, fields?: Readonly<Record<string, unknown>>): void
  error(message: string, fields?: Readonly<Record<string, unknown>>): void
}

/** The node's key, as far as the scheduler needs it. `identityFrom` of @skrei/protocol makes one. */
export interface Identity {
  readonly nodeId: string
  sign(bytes: Uint8Array): Uint8Array
}

/** Everything a node is made of. Clock, ids and randomness are handed in: from one seed, a whole network runs the same way twice. */
export interface SchedulerOptions {
  /** Nodes of different networks do not understand each other. */
  readonly network: string
  readonly identity: Identity
  readonly check: (nodeId: string, bytes: Uint8Array, signature: Uint8Array) => boolean
  readonly clock: Clock
  /** Uniform in [0, 1). */
  readonly random: () => number
  /** A new job id: unique, rising with time. */
  readonly jobId: () => string
  readonly store: StateStore
  readonly transport: Transport
  readonly workspace: Workspace
  readonly sources: readonly Source[]
  readonly publishers: readonly Publisher[]
  /** Default: the method `none`. */
  readonly methods?: readonly Method[]
  /** Absent: the node runs nothing itself, it is a requester only. */
  readonly compute?: ComputeOptions
  /** What decides which of the nodes that fit is asked first. Default: `defaultRankers`. */
  readonly rankers?: readonly Ranker[]
  readonly settings?: Partial<Settings>
  readonly logger?: Logger
}

export interface ComputeOptions {
  readonly executors: readonly Executor[]
  /** What executions may hold together: milli-CPU, bytes, bytes. */
  readonly capacity: Capacity
  /**
   * How much more than its CPU and memory executions may hold together: factors, 1 or more, default 1. For jobs that use less than they ask for; one that uses all of it takes it
   * from others. A single task never gets more than the node has. Never of disk nor of devices.
   */
  readonly overSubscription?: { readonly cpu?: number; readonly memory?: number }
  /**
   * Which requesters share a share of the node while others wait, and how large it is beside others': pure, the same answer each time. Weight: above 0. Default: all are one
   * group. Within a group requesters are equal.
   */
  readonly group?: (requester: string) => { readonly name: string; readonly weight: number }
  readonly labels?: Readonly<Record<string, string>>
  /** The operator's own rules over an ask: pure. */
  readonly policy?: (task: Task, requester: string) => readonly Refusal[]
  /** A secret's value for a job of this requester, or undefined where the node has none of that name for it. */
  readonly secret?: (name: string, requester: string) => string | undefined
}

export type JobState = 'planning' | 'running' | 'stopping' | 'composing' | 'completed' | 'failed' | 'cancelled'

/** A job as its requester sees it. */
export interface JobView {
  readonly id: string
  readonly name: string
  readonly specCid: string
  readonly state: JobState
  readonly open: boolean
  readonly submittedAt: number
  /** Absent until planned. */
  readonly shards?: { readonly total: number; readonly completed: number; readonly failed: number; readonly cancelled: number; readonly active: number }
  readonly failure?: Failure
  /** Where the composed result lies, once it is final. */
  readonly reference?: Reference
}

/** One shard in `result.json`. */
export interface ShardResult {
  readonly index: number
  readonly state: 'completed' | 'failed' | 'cancelled'
  readonly node?: string
  readonly exit?: number
  readonly digest?: string
  readonly usage?: Usage
  readonly facts?: Readonly<Record<string, string>>
  readonly verdict?: { readonly assurance: Assurance; readonly bound: number }
  readonly failure?: Failure
  /** Of a shard without a result: where, as its node said, that lies which its last execution wrote until it was stopped. Under `shards/<index>/logs/` as far as it could be fetched. */
  readonly logs?: Reference
  readonly executions: readonly { readonly id: string; readonly node: string; readonly outcome: string; readonly failure?: Failure }[]
}

/** A shard as it is now. The last of its `executions` may be one that is not over: its `outcome` is the state it is in. A shard that was never opened has no row, and no view. */
export interface ShardView extends Omit<ShardResult, 'state'> {
  /** Of the shard's machine: `placing`, `choosing`, `running`, `backoff`, `waiting`, `completed`… */
  readonly state: string
  readonly open: boolean
  /** Of one that waits for a node: why those that were asked last do not take it now, each reason once. */
  readonly refusals?: readonly Refusal[]
}

/** Which jobs: at most `limit` of those asked for, in the order of their ids, which rise with time; or `newestFirst`. */
export interface JobPage {
  /** Only jobs after this id, in the order asked for. */
  readonly after?: string
  readonly limit: number
  readonly newestFirst?: boolean
  readonly state?: JobState
  /** Only ids that begin with it. */
  readonly prefix?: string
}

/** Which shards of a job, by rising index. */
export interface ShardPage {
  /** Only shards of a higher index. */
  readonly after?: number
  /** Default 256. */
  readonly limit?: number
  readonly state?: string
}

/** An execution as the compute node sees it, from the ask on. */
export interface ComputeView {
  readonly id: string
  readonly requester: string
  readonly jobId: string
  /** Index. */
  readonly shard: number
  /** Of the node's machine: `queued`, `reserved`, `running`, `published`… */
  readonly state: string
  readonly open: boolean
  /** Milli-CPU, bytes, bytes. Absent: of an ask that came to nothing this is not kept. */
  readonly resources?: Task['resources']
  /** Ids of devices that were given to it. */
  readonly devices: readonly string[]
}

/** Which executions, in the order of their ids. */
export interface ComputePage {
  /** Only executions after this id. */
  readonly after?: string
  readonly limit: number
  readonly open?: boolean
}

/** How much was read of an execution's streams, in bytes: where to go on. */
export interface LogPosition {
  readonly execution: string
  readonly stdout: number
  readonly stderr: number
}

/** A part of a stream; `offset` is that of its first byte. */
export interface LogChunk {
  readonly execution: string
  readonly node: string
  readonly stream: 'stdout' | 'stderr'
  readonly offset: number
  readonly bytes: Uint8Array
}

export interface LogOptions {
  /** Index. Default 0. */
  readonly shard?: number
  /** Default: both. */
  readonly stream?: 'stdout' | 'stderr'
  /** Go on from here, where it is the same execution still; another is read from its beginning. */
  readonly from?: LogPosition
  /** Whether to go on with what will be written, and with further tries of the shard, until it is final. Default false. */
  readonly follow?: boolean
  readonly signal?: AbortSignal
}

/** What this node is, has and does now. Without the compute role it has nothing: only `incarnation`, `draining`, `unsent` and `jobs` are there. */
export interface NodeStanding {
  readonly incarnation: Incarnation
  readonly capacity?: Capacity
  /** What a task may still get. */
  readonly free?: Capacity
  /** `execution`: which holds it. */
  readonly devices?: readonly (Device & { readonly execution?: string })[]
  /** Asks that wait for capacity. */
  readonly queued?: number
  /** Awarded executions that are not done. */
  readonly executions?: number
  /** Executions that are done, and kept until their requester settles them. */
  readonly kept?: number
  /** It takes nothing new. */
  readonly draining: boolean
  /** Messages to other nodes that have not been acknowledged yet. */
  readonly unsent: number
  /** Of this node as requester. */
  readonly jobs: { readonly open: number }
}

/** `result.json` without its shards: what does not grow with their number. */
export interface JobResultHead {
  readonly jobId: string
  readonly name: string
  readonly specCid: string
  readonly state: JobState
  readonly failure?: Failure
  readonly manifest?: string
  /** How many shards there are in all, and how those ended that did: the rest was never opened. Absent until planned. */
  readonly counts?: { readonly total: number; readonly completed: number; readonly failed: number; readonly cancelled: number }
  /** Caps of each shard's streams, in bytes; `facts` of a shard says where one was reached. */
  readonly limits: { readonly stdout: number; readonly stderr: number }
}

/** `result.json`. */
export interface JobResult extends JobResultHead {
  readonly shards: readonly ShardResult[]
}

/** What a watcher is told. `progress` may be lost; transitions are told in order, after they are durable. */
export type SchedulerEvent =
  | { readonly type: 'transition'; readonly job?: string; readonly shard?: number; readonly node?: string; readonly transition: Transition }
  | { readonly type: 'progress'; readonly job: string; readonly shard: number; readonly node: string; readonly phase: string; readonly fraction?: number }
  /**
   * Another node lives with the key of this one, and one of the two must be stopped: this one heard it announce itself (`node` is this node), or a peer says so, which refuses this one as the older
   * of the two (`node` is the peer, and it is its word alone). Told once in the time that an announcement holds.
   */
  | { readonly type: 'duplicate-identity'; readonly node: string; readonly at: number }

/** Which part of a history: entries with a higher sequence than `after`, at most `limit` of them. */
export interface HistoryPage {
  readonly after?: number
  /** Default 256. */
  readonly limit?: number
}

/**
 * One entry of a history: what happened (`event`), who caused it (`actor`: a node id, `user`, `clock`, the name of an effect, or another object of this node) and what
 * came of it. `sequence` rises over all entries of the node; `at` is in milliseconds of the node's clock.
 */
export type HistoryItem = {
  readonly sequence: number
  readonly at: number
  readonly kind: 'job' | 'shard' | 'execution' | 'compute'
  readonly id: string
  /** Index of the shard that it concerns. */
  readonly shard?: number
  /** The node that runs the execution. */
  readonly node?: string
  readonly event: string
  readonly actor: string
} & (
  | {
      /** Absent: the object is new. */
      readonly from?: string
      readonly to: string
    }
  | {
      /** The object's state did not accept the event. */
      readonly refused: 'final' | 'not-accepted' | 'equivocation'
      /** How many more came to nothing after this one; they are not recorded. */
      readonly more?: number
    }
  | {
      /** The event broke the node's own machine, and nothing of it was kept; or a ranker failed (event `fault`, actor `ranker <name>`), and counted as 0. */
      readonly fault: string
      readonly more?: number
    }
  | {
      /** A node (`actor`) refused this message of the object, with its code: it is not sent again. */
      readonly undeliverable: { readonly message: string; readonly code: string; readonly reason: string }
    }
)

/** A node's requester and compute roles over one state store. */
export interface Scheduler extends AsyncDisposable {
  readonly nodeId: string
  /**
   * Takes up what an earlier run left, announces the node. Once, also after `stop`: else rejects with a `SchedulerError` (`started-before`). Rejects with a `StartError` before anything
   * has happened.
   */
  start(): Promise<void>
  /**
   * Before a stop: no new jobs (`SubmitError` `draining`), no new asks, and those that wait are declined, so that other nodes take them. Resolves when no execution runs here any more, or
   * waits to be published or fetched by a requester that was heard from within two heartbeats, and once what the node has to say to others was said, or could not be; call `stop` then. Rejects with the signal's reason, and with a `SchedulerError` (`stopped`); the node drains all the same. Only a restart ends it.
   */
  drain(options?: { readonly signal?: AbortSignal }): Promise<void>
  /** Stops taking part: effects are aborted, running executions stay recorded and are taken up by the next start. */
  stop(): Promise<void>
  /**
   * Accepts a job, and gives its id; durable once it resolves. Rejects with a `SubmitError` (`not-enough-nodes`, `not-built`…) for a job that no network of this kind can run.
   *
   * @param options `key`: the submitter's own name for this submission, 1 to 256 characters. The same spec with the same key again is the same job, also after a restart, as long
   * as the job is kept; another spec is refused (`key-reused`).
   */
  submit(spec: JobSpec, options?: { readonly key?: string }): Promise<string>
  /**
   * What the job would come to now: lists its inputs and asks nodes what they would say. Nothing is submitted, written or reserved, on any node. Rejects with a `SubmitError`
   * like `submit`.
   */
  plan(spec: JobSpec, options?: { readonly signal?: AbortSignal }): Promise<JobPlan>
  /** Asks for the job to be cancelled; it is once every execution is stopped. No-op on a final job. */
  cancel(jobId: string): Promise<void>
  job(jobId: string): JobView | undefined
  /** A page costs no more than the page, whatever the number of jobs. */
  jobs(where: JobPage): readonly JobView[]
  /** What was submitted. */
  spec(jobId: string): JobSpec | undefined
  shards(jobId: string, page?: ShardPage): readonly ShardView[]
  /** Resolves once the job is final. Rejects with a `SchedulerError` when the node stops before (`stopped`), or where there is no such job (`no-job`); with the signal's reason. */
  finished(jobId: string, options?: { readonly signal?: AbortSignal }): Promise<JobView>
  /** What `result.json` holds; of a job that is not final, as far as it is known. All shards at once: a job may have a million. */
  result(jobId: string): JobResult | undefined
  /** The same without the shards, of which no row is read. */
  resultHead(jobId: string): JobResultHead | undefined
  /** What happened to a job, its shards and its executions, in the order in which it happened; nothing of a job that is not there, or is forgotten. */
  history(jobId: string, page?: HistoryPage): readonly HistoryItem[]
  /** What happened to an execution that this node runs, or ran, for a requester. */
  executionHistory(executionId: string, page?: HistoryPage): readonly HistoryItem[]
  /**
   * The history of a job after a sequence (default: all of it), and on as it happens, each entry once. Ends after what ended the job, or with the signal; rejects
   * with an `AbortError` when the node stops, and where there is no such job. Take as long as you like over an entry: the rest waits in the store.
   */
  subscribe(jobId: string, options?: { readonly after?: number; readonly signal?: AbortSignal }): AsyncIterable<HistoryItem>
  /**
   * What a shard's execution writes, or wrote, to its streams: that with the result, else the newest. While it lives this is asked of its node, at the pace at which it is read; afterwards it
   * is read from what was published. Rejects with a `SchedulerError`: `no-job`, `no-shard`, `logs-gone`, `logs-unavailable` (not where it follows a live one: then it tries again), `stopped`; with the
   * signal's reason.
   */
  logs(jobId: string, options?: LogOptions): AsyncIterable<LogChunk>
  /** Tells every transition and progress of this node from now on. */
  watch(listener: (event: SchedulerEvent) => void): Disposable
  standing(): NodeStanding
  /** What this node runs, or ran, for requesters; none without the compute role. */
  executions(page: ComputePage): readonly ComputeView[]
  /** The nodes that this one knows, itself included. */
  nodes(): readonly Announcement[]
  /** Asks a random part of the network, 63 nodes at most, whom they see, and says whether it is split. Costs that many queries; takes `settings.widen` at most. */
  partitions(options?: { readonly signal?: AbortSignal }): Promise<Partitions>
}
