import { FailureError, type FileEntry, type Task } from '@skrei/job-spec'
import type { Source, Workspace } from '@skrei/storage'
import type { ComputeContext } from '../machines/compute-execution.ts'
import { engineSources } from './assess.ts'

export type Progress = (phase: 'staging' | 'running', done: number, total?: number) => void

/** Brings the module and the shard's files into the workspace, exactly those of the manifest; `resources.disk` bounds them together. Returns the bytes staged. */
export const stage = async (
  context: ComputeContext,
  files: readonly FileEntry[],
  world: { readonly workspace: Workspace; readonly sources: ReadonlyMap<string, Source>; readonly progress: Progress },
  options: { readonly signal: AbortSignal },
): Promise<number> => {
  const { id, task } = context
  await world.workspace.open(id, outputNames(task))
  const known = files.every(({ size }) => size !== undefined) ? files.reduce((sum, { size }) => sum + (size ?? 0), 0) : undefined
  let staged = 0
  const bring = async (file: FileEntry, into: string): Promise<void> => {
    const source = world.sources.get(file.source.type)
    if (source === undefined) throw new FailureError('source-invalid', `this node has no driver for sources of type ${file.source.type}`)
    let bytes = 0
    for await (bytes of source.stage(file, into, { ...options, maxBytes: task.resources.disk - staged })) world.progress('staging', staged + bytes, known)
    staged += bytes
  }
  for (const [slot, source] of engineSources(task)) await bring({ path: slot, source }, await world.workspace.place(id, 'files', slot))
  for (const file of files) await bring(file, await world.workspace.place(id, 'inputs', file.path))
  return staged
}

export const outputNames = (task: Task): readonly string[] => task.outputs.map(({ name }) => name)
