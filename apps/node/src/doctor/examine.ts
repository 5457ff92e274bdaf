import { randomUUID } from 'node:crypto'
import { existsSync } from 'node:fs'
import { mkdtemp, rm, rmdir, stat, statfs, writeFile } from 'node:fs/promises'
import { arch, platform, release, tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import type { Executor } from '@skrei/executor'
import { dockerExecutor, engineInfo } from '@skrei/executor-docker'
import { detectGpus, usableGpus } from '@skrei/executor-docker-gpu'
import { resolve, taskOf } from '@skrei/job-spec'
import { CliError, type Problem, systemCode } from '../cli-errors.ts'
import { readConfig } from '../config/read-config.ts'
import { dockerSocket } from '../docker-engine.ts'
import { type EngineName, engineNames } from '../engine-names.ts'
import { engines } from '../engines.ts'
import { homePath } from '../home-path.ts'
import type { EngineTrouble, MachineFacts } from './diagnose.ts'
import { findInstaller } from './install.ts'

/** A module that does nothing: `(module (memory (export "memory") 1) (func (export "_start")))`. */
const emptyModule = Buffer.from('0061736d01000000010401600000030201000503010001071302066d656d6f72790200065f737461727400000a040102000b', 'hex')

/** Looks at this machine as the node would, and runs a program on each engine: in a container only where the image for it is here. Makes nothing that it does not remove. */
export const examine = async (skrei: string, signal: AbortSignal): Promise<MachineFacts> => {
  const { engines: wanted, problems: config } = examineConfig()
  const [home, builtIn, docker] = await Promise.all([examineHome(), examineBuiltIn(wanted ?? engineNames, signal), examineDocker(signal)])
  // Where no engine can be given devices, it is still said which are there.
  const { gpus, problems } = 'trouble' in docker ? await detectGpus({ signal }) : await usableGpus(docker, { signal })
  const noEngine = 'trouble' in docker && gpus.length > 0
  const dockerWanted = wanted?.includes('docker')
  const container = 'trouble' in docker || dockerWanted === false ? undefined : await tryContainer(signal)
  return {
    skrei,
    node: process.versions.node,
    platform: `${platform()} ${release()} ${arch()}`,
    home,
    config,
    dockerWanted,
    builtIn,
    docker,
    container,
    gpus: noEngine ? [] : gpus,
    gpuProblems: noEngine
      ? [
          ...problems,
          ...gpus.map(({ vendor, id, model }) => ({
            vendor,
            code: 'engine-missing' as const,
            detail: `${model ?? vendor} ${id}: without an engine nothing runs on it`,
          })),
        ]
      : problems,
    installer: findInstaller(),
  }
}

/** Whether the folder, or the nearest above it that is there, can be written to. */
const examineHome = async (): Promise<MachineFacts['home']> => {
  const path = homePath()
  for (let folder = path; ; folder = dirname(folder)) {
    try {
      if (!(await stat(folder)).isDirectory()) return { path, error: `${folder} is no folder` }
      // To root everything looks writable: only trying tells.
      await rmdir(await mkdtemp(join(folder, '.skrei-doctor-')))
      const disk = await statfs(folder)
      return { path, free: disk.bavail * disk.bsize }
    } catch (error) {
      const code = systemCode(error)
      // (What is missing may be a folder above: it is looked at next.)
      if (code !== 'ENOENT' || existsSync(folder) || folder === dirname(folder))
        return { path, error: `${folder} cannot be written to: ${code ?? String(error)}` }
    }
  }
}

/** The engines that the configuration names, if it does, and what `skrei node start` would refuse it for. */
const examineConfig = (): { readonly engines?: readonly EngineName[] | undefined; readonly problems: readonly Problem[] } => {
  try {
    return { engines: readConfig({ home: homePath(), environment: process.env, flags: [] }).engines, problems: [] }
  } catch (error) {
    if (!(error instanceof CliError)) throw error
    return { problems: error.problems }
  }
}

const examineBuiltIn = async (wanted: readonly EngineName[], signal: AbortSignal): Promise<MachineFacts['builtIn']> => {
  const folder = await mkdtemp(join(tmpdir(), 'skrei-doctor-'))
  try {
    const module = join(folder, 'empty.wasm')
    await writeFile(module, emptyModule)
    const found: Record<string, string | undefined> = {}
    for (const executor of await engines(folder, { warm: 0, runsPerProcess: 1, names: wanted.filter((name) => name !== 'docker') })) {
      try {
        if (executor.engine === 'wasm')
          found['wasm'] = await tryProgram(executor, { type: 'wasm', module: { type: 'local', path: 'empty.wasm' } }, { module }, signal)
        if (executor.engine === 'noop') found['noop'] = await tryProgram(executor, { type: 'noop' }, {}, signal)
      } catch (error) {
        signal.throwIfAborted()
        found[executor.engine] = error instanceof Error ? error.message : String(error)
      } finally {
        await executor[Symbol.asyncDispose]?.()
      }
    }
    return found
  } finally {
    await rm(folder, { recursive: true, force: true })
  }
}

/** Why the program did not end with 0. */
const tryProgram = async (
  executor: Executor,
  engine: Parameters<typeof resolve>[0]['engine'],
  files: Readonly<Record<string, string>>,
  signal: AbortSignal,
): Promise<string | undefined> => {
  const task = taskOf(resolve({ apiVersion: 'skrei/v1', engine, timeouts: { execution: 30_000 } }), 'doctor')
  const request = { id: 'doctor', task, seed: new Uint8Array(32), mounts: [], files, env: {}, devices: [], from: { stdout: 0, stderr: 0 } }
  let failure: string | undefined
  for await (const event of executor.run(request, { signal })) if (event.type === 'exit') failure = event.failure?.detail
  await executor.remove(request.id)
  return failure
}

const tryContainer = async (signal: AbortSignal): Promise<MachineFacts['container']> => {
  const folder = await mkdtemp(join(tmpdir(), 'skrei-doctor-'))
  try {
    const engine = { type: 'docker', image: 'busybox', entrypoint: ['true'], pull: 'never' } as const
    await using executor = dockerExecutor({ directory: folder, socketPath: dockerSocket(), namespace: `skrei-doctor-${randomUUID()}` })
    const [refusal] = await executor.assess(taskOf(resolve({ apiVersion: 'skrei/v1', engine }), 'doctor'), { signal })
    if (refusal !== undefined) return undefined
    const failure = await tryProgram(executor, engine, {}, signal)
    return failure === undefined ? {} : { failure }
  } catch (error) {
    signal.throwIfAborted()
    return { failure: error instanceof Error ? error.message : String(error) }
  } finally {
    await rm(folder, { recursive: true, force: true })
  }
}

const examineDocker = async (signal: AbortSignal): Promise<MachineFacts['docker']> => {
  try {
    return await engineInfo({ socketPath: dockerSocket(), signal: AbortSignal.any([signal, AbortSignal.timeout(10_000)]) })
  } catch (error) {
    signal.throwIfAborted()
    return troubleOf(error)
  }
}

const troubles: Readonly<Record<string, EngineTrouble['trouble']>> = { ENOENT: 'missing', ECONNREFUSED: 'stopped', EACCES: 'denied', EPERM: 'denied' }

const troubleOf = (error: unknown): EngineTrouble => {
  const code = systemCode(error instanceof Error && error.cause !== undefined ? error.cause : error)
  const message = error instanceof Error ? (error.name === 'TimeoutError' ? 'the Docker engine does not answer within 10 s' : error.message) : String(error)
  return { trouble: troubles[code ?? ''] ?? 'failed', detail: message }
}
