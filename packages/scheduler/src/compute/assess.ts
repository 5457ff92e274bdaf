import type { Executor } from '@skrei/executor'
import type { FileEntry, Refusal, SourceSpec, Task } from '@skrei/job-spec'
import type { Source } from '@skrei/storage'
import { misfits, type NodeOffer } from '../directory/fit.ts'
import type { ComputeContext } from '../machines/compute-execution.ts'
import type { EngineAnswers } from './engine-answers.ts'

export interface AssessWorld {
  readonly offer: NodeOffer
  readonly executors: ReadonlyMap<string, Executor>
  readonly engineAnswers: EngineAnswers
  readonly sources: ReadonlyMap<string, Source>
  readonly policy: (task: Task, requester: string) => readonly Refusal[]
  readonly secret: (name: string) => string | undefined
}

/** What is asked about, and by whom. */
export interface Assessed {
  readonly task: Task
  readonly requester: string
  readonly terms: Pick<ComputeContext['terms'], 'constraints' | 'publishers' | 'verification'>
}

/** At most this many sources of a shard are looked at before a bid; the rest is found out when staged. */
const looked = 64
/** So many of them at a time. */
const lookedAtOnce = 8

/** What the node itself has against it; the engine and the sources are not asked. */
const ownRefusals = (world: AssessWorld, { task, terms, requester }: Assessed, files: readonly FileEntry[]): readonly Refusal[] => {
  const wanted = {
    task,
    constraints: terms.constraints,
    sources: [...files.map(({ source }) => source.type), ...engineSources(task).map(([, source]) => source.type)],
    publisher: terms.publishers[0]?.type ?? 'none',
  }
  const refusals: Refusal[] = [...misfits(world.offer, wanted), ...world.policy(task, requester), ...secretRefusals(world, task)]
  if (terms.verification !== 'none') refusals.push({ code: 'task-unsupported', detail: `verification ${terms.verification} is not built yet` })
  return refusals
}

/** Would this node run it? Node, policy, engine and sources are asked; what is only a matter of room now is not decided here. */
export const assess = async (
  world: AssessWorld,
  asked: Assessed,
  files: readonly FileEntry[],
  options: { readonly signal: AbortSignal },
): Promise<readonly Refusal[]> => {
  const { task } = asked
  const refusals = ownRefusals(world, asked, files)
  if (refusals.length > 0) return refusals

  const [byEngine, bySources] = await Promise.all([
    world.executors.get(task.engine.type)?.assess(task, options) ?? [],
    assessSources(world, task, files, options),
  ])
  if (byEngine.length === 0) world.engineAnswers.keep(task)
  return [...byEngine, ...bySources]
}

/** The same where nobody need be asked: nothing is staged, and the engine answered a moment ago. Undefined: they must be. */
export const assessAtOnce = (world: AssessWorld, asked: Assessed): readonly Refusal[] | undefined => {
  const refusals = ownRefusals(world, asked, [])
  return refusals.length > 0 || world.engineAnswers.wouldRun(asked.task) ? refusals : undefined
}

const assessSources = async (
  world: AssessWorld,
  task: Task,
  files: readonly FileEntry[],
  options: { readonly signal: AbortSignal },
): Promise<readonly Refusal[]> => {
  const sources: { readonly spec: SourceSpec; readonly size?: number }[] = [
    ...engineSources(task).map(([, spec]) => ({ spec })),
    ...files.slice(0, looked).map(({ source, size }) => ({ spec: source, ...(size !== undefined && { size }) })),
  ]
  const answers: { readonly size: number | undefined; readonly answer: Awaited<ReturnType<Source['assess']>> | undefined }[] = []
  const left = sources.entries()
  let isOver = false
  const askInTurn = async (): Promise<void> => {
    try {
      for (const [index, { spec, size }] of left) {
        if (isOver) return
        answers[index] = { size, answer: await world.sources.get(spec.type)?.assess(spec, options) }
      }
    } finally {
      isOver = true
    }
  }
  await Promise.all(Array.from({ length: lookedAtOnce }, askInTurn))
  const refusals = answers.flatMap(({ answer }) => answer?.refusals ?? [])
  const bytes = answers.reduce((sum, { size, answer }) => sum + (size ?? answer?.bytes ?? 0), 0)
  if (bytes > task.resources.disk) {
    refusals.push({
      code: 'input-too-large',
      resource: 'disk',
      wanted: bytes,
      available: task.resources.disk,
      detail: `the inputs hold ${bytes} bytes, resources.disk is ${task.resources.disk}`,
    })
  }
  return [...new Map(refusals.map((refusal) => [`${refusal.code} ${refusal.detail}`, refusal])).values()].slice(0, 64)
}

const secretRefusals = (world: AssessWorld, task: Task): readonly Refusal[] =>
  Object.values(task.env).flatMap((value) =>
    typeof value === 'object' && world.secret(value.secret) === undefined ? [{ code: 'secret-unknown', detail: `no secret ${value.secret}` } as const] : [],
  )

/** What an engine needs staged beside the inputs, by slot. */
export const engineSources = (task: Task): readonly (readonly [slot: string, source: SourceSpec])[] =>
  task.engine.type === 'wasm' && 'module' in task.engine ? [['module', task.engine.module as SourceSpec]] : []
