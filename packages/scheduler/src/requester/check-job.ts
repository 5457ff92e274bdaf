import { canonicalBytes, type JobSpec, type Refusal, taskSchema } from '@skrei/job-spec'
import { maxMessageBytes } from '@skrei/protocol'
import { type Method, none } from '@skrei/verifier'
import { misfits, type NodeOffer } from '../directory/fit.ts'
import { SubmitError } from '../submit-error.ts'
import { wantedBy } from './facts.ts'
import { checkSubmittable } from './role.ts'
import { createSpecs, type KnownJob } from './specs.ts'

/** Of an ask, besides the task: its files, terms and envelope. */
const roomForTheRest = 65_536

/** The ask of such a job must fit into a message: found out when it is submitted, not when the first shard is opened. */
const requireSendable = (job: KnownJob): void => {
  if (sendable.has(job)) return
  const { task } = job
  const problem = taskSchema.safeParse(task).error?.issues[0]
  if (problem)
    throw new SubmitError(
      'job-invalid',
      `${problem.path.join('.')}: ${problem.message}`,
      problem.path.filter((part) => typeof part !== 'symbol'),
    )
  const bytes = canonicalBytes(task).length
  if (bytes > maxMessageBytes - roomForTheRest)
    throw new SubmitError('task-too-large', `the task has ${bytes} bytes, a message ${maxMessageBytes} with all that it carries`, ['engine'])
  sendable.add(job)
}
/** Found to be so before: jobs that say the same are one object, while they are remembered. */
const sendable = new WeakSet<KnownJob>()

/** Throws the SubmitError of a job that no network of this kind could do. */
export const requireSubmittable = (job: KnownJob, methods: ReadonlyMap<string, Method>, knownNodes: number): void => {
  checkSubmittable(job.spec, job.resolved, methods, knownNodes)
  requireSendable(job)
}

/** What a node says to a job before anything of it runs. */
export interface JobCheck {
  /** The error that `submit` would reject with. */
  readonly refused?: SubmitError
  /** Why the node itself could never run it: engine, labels, source types, publisher, size. `[]` = it could. What only an executor or a source can say is not in it. */
  readonly misfits: readonly Refusal[]
}

/**
 * Checks a job as `submit` does, and against what one node is and has; asks nobody and needs no node.
 *
 * @param node What the node offers: capacity in milli-CPU and bytes.
 * @param options `nodes`: how many the network has, 1 where not given; `methods`: those of the scheduler.
 */
export const checkJob = (spec: JobSpec, node: NodeOffer, options: { readonly nodes?: number; readonly methods?: readonly Method[] } = {}): JobCheck => {
  const methods = new Map((options.methods ?? [none]).map((method) => [method.name, method]))
  let found: JobCheck = { misfits: [] }
  try {
    const known = createSpecs().resolve(spec)
    found = { misfits: misfits(node, wantedBy(known)) }
    requireSubmittable(known, methods, options.nodes ?? 1)
    return found
  } catch (error) {
    if (!(error instanceof SubmitError)) throw error
    return { ...found, refused: error }
  }
}
