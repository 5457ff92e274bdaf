import type { Device, Failure, Refusal, Task, Usage } from '@skrei/job-spec'

export interface AbortOptions {
  readonly signal?: AbortSignal
}

/**
 * Runs executions of one engine in a sandbox. One executor per engine name in a node.
 *
 * Thrown = the node's fault; a returned `failure` = the job's. `signal` is honoured before the first side effect and ends the thing for real.
 */
export interface Executor {
  readonly engine: string
  inventory(options?: AbortOptions): Promise<{ readonly version: string; readonly devices: readonly Device[] }>
  /** Before the bid: why this task would not run here; `[]` = it would. */
  assess(task: Task, options?: AbortOptions): Promise<readonly Refusal[]>
  /**
   * Runs a task to its end. The last event, once, is `exit`. The same id again attaches to what already runs, or repeats the exit of what ended.
   * An aborted `signal` kills what runs and rejects with the signal's reason, after it is dead.
   */
  run(request: RunRequest, options: AbortOptions): AsyncIterable<RunEvent>
  /** Kills what runs under this id and returns once it is dead. Durable until `remove`: a later `run` of this id fails with `cancelled`. */
  stop(id: string, options?: AbortOptions): Promise<void>
  /** Ids found after a crash, running or ended, that were not removed. */
  leftovers(options?: AbortOptions): AsyncIterable<string>
  /** Forgets everything about this id; kills it first if it runs. Idempotent. */
  remove(id: string, options?: AbortOptions): Promise<void>
}

export interface RunRequest {
  /** The execution's id. */
  readonly id: string
  readonly task: Task
  /** The job that it belongs to, for people who look at what an engine runs. It says nothing about what is computed. */
  readonly job?: string
  /** From spec CID and shard, never from node or attempt; at least 16 bytes. */
  readonly seed: Uint8Array
  /** `path` on the host, `at` in the guest. A writable mount is an output: its content together is bounded by `task.resources.disk`. */
  readonly mounts: readonly { readonly path: string; readonly at: string; readonly writable: boolean }[]
  /** Staged engine sources by slot: `{ module: '/…' }`. */
  readonly files: Readonly<Record<string, string>>
  /** The task's environment, with its secrets filled in and the shard's own variables added. */
  readonly env: Readonly<Record<string, string>>
  /** Ids of the devices that this execution alone may use. */
  readonly devices: readonly string[]
  /** Offsets to go on from when attaching. */
  readonly from: { readonly stdout: number; readonly stderr: number }
}

/** `offset` counts bytes of the stream since the start of the run. Output beyond `task.limits` is dropped and says so in `facts` (`stdoutTruncated: 'true'`). */
export type RunEvent =
  | { readonly type: 'progress'; readonly phase: 'pull' | 'start' | 'run'; readonly done?: number; readonly total?: number }
  | { readonly type: 'output'; readonly stream: 'stdout' | 'stderr'; readonly offset: number; readonly bytes: Uint8Array }
  | { readonly type: 'evidence'; readonly at: number; readonly counters: Readonly<Record<string, number>> }
  | RunExit

/** Either `exit` (the program ended by itself, with this code; not 0 is a `failure` too) or a `failure` alone (it was ended). */
export interface RunExit {
  readonly type: 'exit'
  readonly exit?: number
  readonly failure?: Failure
  readonly usage: Usage
  readonly facts: Readonly<Record<string, string>>
}
