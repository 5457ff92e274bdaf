import type { EngineSpec } from './engine.ts'
import type { FailureCode } from './failure.ts'
import { failures } from './failure.ts'
import type { InputSpec, JobSpec, OutputSpec, PublisherSpec, ShardingSpec } from './job.ts'
import type { Task } from './task.ts'

/** A job with every default filled in. Never hashed: a new default must not move a CID. */
export interface ResolvedJob {
  readonly name: string
  readonly engine: EngineSpec
  readonly inputs: readonly InputSpec[]
  readonly outputs: readonly OutputSpec[]
  readonly publishers: readonly PublisherSpec[]
  readonly resources: Task['resources']
  readonly limits: Task['limits']
  readonly sharding?: ShardingSpec
  readonly partial: { readonly policy: 'fail-fast' | 'best-effort'; readonly tolerate: number }
  readonly verification: { readonly method: string; readonly replicas: number }
  readonly timeouts: { readonly queue: number; readonly execution: number; readonly total: number }
  readonly retry: { readonly attempts: number; readonly on: readonly FailureCode[]; readonly backoff: number; readonly perNode: number }
  readonly constraints: readonly string[]
  readonly prefer: readonly string[]
  readonly env: Task['env']
  readonly labels: Readonly<Record<string, string>>
  readonly network: Task['network']
}

const mebibyte = 2 ** 20
const minute = 60_000

/** Fills in the defaults. The table of them stands in the README. */
export const resolve = (spec: JobSpec): ResolvedJob => ({
  name: spec.name ?? 'job',
  engine: spec.engine,
  inputs: spec.inputs ?? [],
  outputs: spec.outputs ?? [],
  publishers: spec.publisher ?? [{ type: 'ipfs' }],
  resources: {
    cpu: spec.resources?.cpu ?? 500,
    memory: spec.resources?.memory ?? 512 * mebibyte,
    disk: spec.resources?.disk ?? 1024 * mebibyte,
    gpu: spec.resources?.gpu ?? { count: 0 },
  },
  limits: {
    stdout: spec.limits?.stdout ?? mebibyte,
    stderr: spec.limits?.stderr ?? mebibyte,
    files: spec.limits?.files ?? 100_000,
  },
  ...(spec.sharding && { sharding: spec.sharding }),
  partial: { policy: spec.partial?.policy ?? 'fail-fast', tolerate: spec.partial?.tolerate ?? 0 },
  verification: {
    method: spec.verification?.method ?? 'none',
    replicas: spec.verification?.replicas ?? (spec.verification === undefined || spec.verification.method === 'none' ? 1 : 3),
  },
  timeouts: {
    queue: spec.timeouts?.queue ?? 5 * minute,
    execution: spec.timeouts?.execution ?? 10 * minute,
    total: spec.timeouts?.total ?? 60 * minute,
  },
  retry: {
    attempts: spec.retry?.attempts ?? 3,
    on: spec.retry?.on ?? (Object.keys(failures) as FailureCode[]).filter((code) => failures[code].retry),
    backoff: spec.retry?.backoff ?? 1000,
    perNode: spec.retry?.perNode ?? 1,
  },
  constraints: spec.constraints ?? [],
  prefer: spec.prefer ?? [],
  env: spec.env ?? {},
  labels: spec.labels ?? {},
  network: spec.network ?? { mode: 'none' },
})

/** What one execution of the job needs to know. */
export const taskOf = (job: ResolvedJob, specCid: string): Task => ({
  specCid,
  engine: job.engine,
  env: job.env,
  outputs: [...job.outputs],
  resources: job.resources,
  limits: job.limits,
  network: job.network,
  timeout: job.timeouts.execution,
})
