import { createHash } from 'node:crypto'
import type { Executor, RunEvent, RunExit, RunRequest } from '@skrei/executor'
import { type Failure, failureOf, type Task } from '@skrei/job-spec'
import type { Workspace } from '@skrei/storage'
import { resultTree } from '@skrei/verifier'
import type { ComputeContext } from '../machines/compute-execution.ts'
import { type Outcome, outcomeOf } from '../machines/execution.ts'
import { engineSources } from './assess.ts'
import { createEvidenceLog } from './evidence.ts'
import { outputNames, type Progress } from './stage.ts'

export interface RunWorld {
  readonly workspace: Workspace
  readonly executors: ReadonlyMap<string, Executor>
  readonly secret: (name: string) => string | undefined
  readonly progress: Progress
  /** Told up to where a stream is written. */
  readonly written: (id: string, stream: 'stdout' | 'stderr', bytes: number) => void
}

/** Runs the staged execution: output goes to the workspace as it comes, the exit becomes the outcome, with the digest of what was computed. */
export const run = async (context: ComputeContext, world: RunWorld, options: { readonly signal: AbortSignal }): Promise<Outcome> => {
  const { id, task } = context
  const executor = world.executors.get(task.engine.type)
  if (executor === undefined) throw new Error(`no executor of engine ${task.engine.type}`)
  const request = await requestOf(context, world)
  const evidence = createEvidenceLog()
  let exit: RunExit | undefined
  for await (const event of executor.run(request, options)) {
    await pass(id, event, world)
    if (event.type === 'evidence') evidence.add(event)
    if (event.type === 'exit') exit = bounded(event)
  }
  const told = evidence.text()
  // Where the run was taken up again after its end there is none, and what is there stays.
  if (told.length > 0) await world.workspace.append(id, 'evidence', 0, told)
  await world.workspace.seal(id)
  if (exit === undefined) throw new Error(`the engine ${task.engine.type} ended ${id} without an exit`)
  return outcome(id, exit, world.workspace, options)
}

const pass = async (id: string, event: RunEvent, { workspace, progress, written }: RunWorld): Promise<void> => {
  if (event.type === 'output') {
    await workspace.append(id, event.stream, event.offset, event.bytes)
    written(id, event.stream, event.offset + event.bytes.length)
  }
  if (event.type === 'progress') progress('running', event.done ?? 0, event.total)
}

/** As much of what an executor says as a message takes. */
const bounded = ({ usage, facts, failure, exit }: RunExit): RunExit => ({
  type: 'exit',
  ...(exit !== undefined && { exit }),
  ...(failure && { failure: { code: failure.code, detail: failure.detail.slice(0, longestDetail) } }),
  usage: Object.fromEntries(Object.entries(usage).filter(([, value]) => Number.isFinite(value) && value >= 0)),
  facts: Object.fromEntries(
    Object.entries(facts)
      .slice(0, mostFacts)
      .map(([name, value]) => [name.slice(0, 64), value.slice(0, 1024)]),
  ),
})
const longestDetail = 4096
const mostFacts = 64

const outcome = async (id: string, exit: RunExit, workspace: Workspace, options: { readonly signal: AbortSignal }): Promise<Outcome> => {
  const { usage, facts } = exit
  // Nobody stopped it, or nobody would wait for its outcome: the node did, when it ended.
  if (exit.failure?.code === 'cancelled')
    return outcomeOf({ failure: { code: 'node-restarted', detail: 'the node ended while the execution ran' }, usage, facts })
  if (exit.failure !== undefined && exit.exit === undefined) return outcomeOf({ failure: exit.failure, usage, facts })
  try {
    const tree = await resultTree(workspace.entries(id, options), exit.exit ?? 0, options)
    return outcomeOf({
      digest: tree.digest,
      exit: exit.exit ?? 0,
      ...(exit.failure && { failure: exit.failure }),
      usage: { ...usage, outputBytes: tree.bytes },
      facts,
    })
  } catch (error) {
    const failure = failureOf(error)
    if (failure === undefined) throw error
    return outcomeOf({ failure, usage, facts })
  }
}

const requestOf = async ({ id, job, task, shard, devices, tops = [] }: ComputeContext, { workspace, secret }: RunWorld): Promise<RunRequest> => {
  const { inputs, outputs } = await workspace.open(id, outputNames(task))
  return {
    id,
    task,
    job,
    seed: createHash('sha256').update(`skrei/seed/1 ${task.specCid} ${shard.index}`).digest(),
    mounts: [
      ...tops.map((top) => ({ path: `${inputs}/${top}`, at: `/${top}`, writable: false })),
      ...task.outputs.map(({ name, path }) => ({ path: `${outputs}/${name}`, at: path, writable: true })),
    ],
    files: Object.fromEntries(engineSources(task).map(([slot]) => [slot, workspace.locate(id, 'files', slot)])),
    env: environment(task, shard, secret),
    devices,
    from: { stdout: 0, stderr: 0 },
  }
}

/** The job's environment with its secrets, and which shard this is. Nothing of the node: equal shards get equal environments. */
const environment = (task: Task, shard: ComputeContext['shard'], secret: RunWorld['secret']): Readonly<Record<string, string>> => ({
  ...Object.fromEntries(Object.entries(task.env).map(([name, value]) => [name, typeof value === 'string' ? value : (secret(value.secret) ?? '')])),
  SKREI_SHARD_INDEX: String(shard.index),
  SKREI_SHARD_COUNT: String(shard.count),
})

/** What an effect that threw comes to: the failure that the error carries, or the node's own fault. */
export const failureFrom = (error: unknown, code: 'node-fault' | 'publish-failed' = 'node-fault'): Failure =>
  failureOf(error) ?? { code: isNoSpace(error) ? 'disk-full' : code, detail: messageOf(error).slice(0, 4096) }

const messageOf = (error: unknown): string => (error instanceof Error ? error.message : String(error))
const isNoSpace = (error: unknown): boolean => typeof error === 'object' && error !== null && 'code' in error && error.code === 'ENOSPC'
