import { join } from 'node:path'
import type { Executor } from '@skrei/executor'
import { noopExecutor } from '@skrei/executor/noop'
import { wasmExecutor } from '@skrei/executor-wasm'

/** The engines of the embedded node, which keep what they must in the run folder. `warm`: processes that wait ready. All guests are of one job, so a process may run many of them. */
export const engines = (runFolder: string, warm: number): readonly (Executor & Partial<AsyncDisposable>)[] => [
  wasmExecutor({ directory: join(runFolder, 'wasm'), warm, runsPerProcess: 100 }),
  noopExecutor(),
]
