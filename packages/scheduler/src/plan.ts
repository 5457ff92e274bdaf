import type { Capacity, Failure, Refusal } from '@skrei/job-spec'

/** What a job would come to if it were submitted now: a look, nothing is promised. */
export interface JobPlan {
  readonly name: string
  readonly specCid: string
  /**
   * `runs`: some node would take it now. `waits`: some node would, once it has room. `no-node`: none that was asked would. `input-failed`: the inputs could not be
   * listed, or every node refuses them.
   */
  readonly outcome: 'runs' | 'waits' | 'no-node' | 'input-failed'
  /** Absent where the inputs could not be listed. `bytes` is absent where a source does not say. */
  readonly input?: { readonly shards: number; readonly files: number; readonly bytes?: number; readonly manifest: string }
  /** Why not; its code is that with which the job would fail. */
  readonly failure?: Failure
  /** Nodes that are known; those that were asked are `nodes`, at most 64. */
  readonly known: number
  /** Best first. */
  readonly nodes: readonly PlannedNode[]
  /** Where the first shards would go, at most 16. */
  readonly first: readonly PlannedShard[]
}

export interface PlannedNode {
  readonly node: string
  /** `waits`: it has no room now. `not-now`: it refuses for a reason that may pass. `never`: it cannot run this. `unknown`: it did not answer. */
  readonly answer: 'runs' | 'waits' | 'not-now' | 'never' | 'unknown'
  readonly refusals: readonly Refusal[]
  /** Milli-CPU and bytes. */
  readonly free?: Capacity
  /** Asks that wait there. */
  readonly queued?: number
}

export interface PlannedShard {
  readonly index: number
  readonly node: string
  /** It would wait there for others to end. */
  readonly waits: boolean
}
