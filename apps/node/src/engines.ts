import { existsSync } from 'node:fs'
import { join } from 'node:path'
import type { Executor } from '@skrei/executor'
import { noopExecutor } from '@skrei/executor/noop'
import { wasmExecutor } from '@skrei/executor-wasm'
import { dockerAnswers, dockerSocket } from './docker-engine.ts'
import type { DockerPolicy } from './docker-policy.ts'
import { type EngineName, engineNames } from './engine-names.ts'

/** An executor, which may have to be ended. */
export type Engine = Executor & Partial<AsyncDisposable>

export interface EngineOptions {
  /** Processes of the engine `wasm` that wait ready. */
  readonly warm: number
  /** How many guests one such process may run, one after the other: more than one only where all are of one owner. */
  readonly runsPerProcess: number
  readonly names: readonly EngineName[]
  /** Default: no network, any image, no root. */
  readonly docker?: DockerPolicy
}

/** The engines of a node, which keep what they must in its folder. */
export const engines = async (folder: string, { warm, runsPerProcess, names, docker }: EngineOptions): Promise<readonly Engine[]> => {
  const all: Readonly<Record<EngineName, () => Engine | Promise<Engine>>> = {
    wasm: () => wasmExecutor({ directory: join(folder, 'wasm'), warm, runsPerProcess }),
    noop: () => noopExecutor(),
    // With the GPUs of this machine, if it has any. Loaded only where there is an engine: it takes a tenth of a second.
    docker: async () => {
      const { dockerGpuExecutor } = await import('@skrei/executor-docker-gpu')
      return dockerGpuExecutor({ ...docker, directory: join(folder, 'docker'), socketPath: dockerSocket() })
    },
  }
  return await Promise.all(engineNames.filter((name) => names.includes(name)).map((name) => all[name]()))
}

/** What a node has that is not told: docker where an engine answers, and not even asked for where no job wants it. */
export const enginesHere = async (wanted: string = 'docker'): Promise<readonly EngineName[]> =>
  wanted === 'docker' && (await dockerAnswers()) ? engineNames : ['wasm', 'noop']

/** Ends whatever a process that died left running in its folder. */
export const reapEngines = async (folder: string): Promise<void> => {
  const names = engineNames.filter((name) => name !== 'docker' || existsSync(join(folder, 'docker')))
  for (const executor of await engines(folder, { warm: 0, runsPerProcess: 1, names })) {
    for await (const id of executor.leftovers()) await executor.remove(id)
    await executor[Symbol.asyncDispose]?.()
  }
}
