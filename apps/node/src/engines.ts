import { join } from 'node:path'
import type { Executor } from '@skrei/executor'
import { noopExecutor } from '@skrei/executor/noop'
import { wasmExecutor } from '@skrei/executor-wasm'

/** An executor, which may have to be ended. */
export type Engine = Executor & Partial<AsyncDisposable>

export interface EngineOptions {
  /** Processes of the engine `wasm` that wait ready. */
  readonly warm: number
  /** How many guests one such process may run, one after the other: more than one only where all are of one owner. */
  readonly runsPerProcess: number
  /** Default: all. */
  readonly names?: readonly string[]
}

/** The engines of a node, which keep what they must in its folder. */
export const engines = (folder: string, { warm, runsPerProcess, names }: EngineOptions): readonly Engine[] => {
  const all: Readonly<Record<string, () => Engine>> = {
    wasm: () => wasmExecutor({ directory: join(folder, 'wasm'), warm, runsPerProcess }),
    noop: () => noopExecutor(),
  }
  return Object.entries(all).flatMap(([name, make]) => (names === undefined || names.includes(name) ? [make()] : []))
}

/** Ends whatever a process that died left running in its folder. */
export const reapEngines = async (folder: string): Promise<void> => {
  for (const executor of engines(folder, { warm: 0, runsPerProcess: 1 })) {
    for await (const id of executor.leftovers()) await executor.remove(id)
    await executor[Symbol.asyncDispose]?.()
  }
}
