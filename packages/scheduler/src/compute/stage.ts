import { FailureError, type FileEntry, type Task } from '@skrei/job-spec'
import type { Source, Workspace } from '@skrei/storage'
import type { ComputeContext } from '../machines/compute-execution.ts'
import { engineSources } from './assess.ts'

export type Progress = (phase: 'staging' | 'running', done: number, total?: number) => void

/** A job's inputs lie in few directories; each is mounted. */
const mostTops = 256

/**
 * Brings the module and the shard's files into the workspace, exactly those of the manifest, part by part; `resources.disk` bounds them together. Returns the bytes staged and
 * the top directories of the files.
 */
export const stage = async (
  context: ComputeContext,
  parts: AsyncIterable<readonly FileEntry[]> | Iterable<readonly FileEntry[]>,
  world: { readonly workspace: Workspace; readonly sources: ReadonlyMap<string, Source>; readonly progress: Progress },
  options: { readonly signal: AbortSignal },
): Promise<{ readonly bytes: number; readonly tops: readonly string[] }> => {
  const { id, task } = context
  await world.workspace.open(id, outputNames(task))
  // Only of a list that came with the ask all sizes are known before.
  const known = context.shard.files?.reduce<number | undefined>((sum, { size }) => (sum === undefined || size === undefined ? undefined : sum + size), 0)
  const tops = new Set<string>()
  let staged = 0
  const bring = async (file: FileEntry, into: string): Promise<void> => {
    const source = world.sources.get(file.source.type)
    if (source === undefined) throw new FailureError('source-invalid', `this node has no driver for sources of type ${file.source.type}`)
    let bytes = 0
    for await (bytes of source.stage(file, into, { ...options, maxBytes: task.resources.disk - staged })) world.progress('staging', staged + bytes, known)
    staged += bytes
  }
  for (const [slot, source] of engineSources(task)) await bring({ path: slot, source }, await world.workspace.place(id, 'files', slot))
  for await (const files of parts) {
    for (const file of files) {
      options.signal.throwIfAborted()
      tops.add(file.path.slice(0, file.path.indexOf('/')))
      if (tops.size > mostTops) throw new FailureError('source-invalid', `the input files lie in more than ${mostTops} directories of the root`)
      await bring(file, await world.workspace.place(id, 'inputs', file.path))
    }
  }
  return { bytes: staged, tops: [...tops] }
}

export const outputNames = (task: Task): readonly string[] => task.outputs.map(({ name }) => name)
