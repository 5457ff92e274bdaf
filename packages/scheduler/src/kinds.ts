import type { Data } from '@skrei/state-store'
import type { ComputeRole } from './compute/role.ts'
import type { Kind } from './kernel/machine.ts'
import { breakOffExecution, breakOffJob, breakOffShard } from './machines/broken.ts'
import {
  type ComputeContext,
  cameToNothing,
  computeExecutionMachine,
  computeHolds,
  computeRemains,
  isVerifiedHere,
  lateComputeExecution,
  unknownComputeExecution,
} from './machines/compute-execution.ts'
import { type ExecutionContext, executionMachine, executionRemains, isVerified, lateExecution } from './machines/execution.ts'
import { type JobContext, jobMachine, jobRemains } from './machines/job.ts'
import { lateShard, type ShardContext, shardMachine, shardRemains } from './machines/shard.ts'
import { jobFacts, jobOf, type RequesterWorld, shardFacts } from './requester/facts.ts'

// A row's data is its machine's context: only the kernel writes it, and only from a machine.
const contextOf = <T>(data: Data | undefined): T => data as unknown as T

/** The four kinds of object of a node, each with its machine and the facts that it is handed. */
export const createKinds = (
  world: RequesterWorld & { readonly heardAt: (node: string) => number; readonly compute: ComputeRole | undefined },
): Readonly<Record<string, Kind>> => {
  const { compute } = world
  const job: Kind = {
    kind: 'job',
    machine: jobMachine,
    creates: 'submit',
    parent: () => undefined,
    group: (context) => contextOf<JobContext>(context).id,
    forgotten: true,
    remains: (_state, context) => jobRemains(contextOf<JobContext>(context)) as unknown as Data,
    facts: (reader, id) => jobFacts(world, reader, id),
    breakOff: breakOffJob,
  }
  const shard: Kind = {
    kind: 'shard',
    machine: shardMachine,
    creates: 'open',
    parent: (context) => contextOf<ShardContext>(context).jobId,
    group: (context) => contextOf<ShardContext>(context).jobId,
    facts: (reader, _id, row, event) => shardFacts(world, reader, row?.state ?? 'new', contextOf<ShardContext>(row?.data ?? (event['context'] as Data)), event),
    remains: (_state, context) => shardRemains(contextOf<ShardContext>(context)) as unknown as Data,
    keeps: (context, subject) => contextOf<ShardContext>(context).asked.some(({ askId, execution }) => askId === subject || execution === subject),
    breakOff: breakOffShard,
    late: (_state, context, event) => lateShard(contextOf<ShardContext>(context), event),
  }
  const execution: Kind = {
    kind: 'execution',
    machine: executionMachine,
    creates: 'award',
    peer: 'compute',
    parent: (context) => contextOf<ExecutionContext>(context).shardId,
    group: (context) => jobOf(contextOf<ExecutionContext>(context).shardId),
    facts: (_reader, _id, row) => ({ heardAt: world.heardAt(contextOf<ExecutionContext | undefined>(row?.data)?.node ?? '') }),
    remains: (_state, context) => executionRemains(contextOf<ExecutionContext>(context)) as unknown as Data,
    verified: (context) => isVerified(contextOf<ExecutionContext>(context)),
    breakOff: breakOffExecution,
    late: (state, context, event) => lateExecution(state, contextOf<ExecutionContext>(context), event),
  }
  if (compute === undefined) return { job, shard, execution }
  const computeExecution: Kind = {
    kind: 'compute',
    machine: computeExecutionMachine,
    creates: 'ask',
    peer: 'requester',
    parent: (context) => contextOf<ComputeContext>(context).requester,
    forgotten: true,
    facts: (reader, _id, row, event) => compute.facts(reader, contextOf<ComputeContext>(row?.data ?? (event['context'] as Data))),
    remains: (state, context) => computeRemains(state, contextOf<ComputeContext>(context)) as unknown as Data,
    blamed: (state, context) => cameToNothing(state, contextOf<ComputeContext>(context)),
    outlived: compute.outlived,
    verified: (context) => isVerifiedHere(contextOf<ComputeContext>(context)),
    atOnce: (effect, context) => compute.atOnce(effect, contextOf<ComputeContext>(context)),
    holds: (state, context) => computeHolds(state, contextOf<ComputeContext>(context)),
    late: (state, context, event) => lateComputeExecution(state, contextOf<ComputeContext>(context), event),
    unknown: unknownComputeExecution,
  }
  return { job, shard, execution, compute: computeExecution }
}
