import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { expect } from 'vitest'

/** The command line, from its sources. */
export const main = join(import.meta.dirname, '../src/main.ts')
const probe = join(import.meta.dirname, 'fixtures/probe.wasm')

export interface Ended {
  readonly code: number | null
  readonly stdout: string
  readonly stderr: string
}

export interface JsonEvent {
  readonly type: string
  readonly [field: string]: unknown
}

export interface JsonResult {
  readonly type: 'result'
  readonly jobId: string | null
  readonly state: string | null
  readonly results: { readonly cid: string | null; readonly path: string | null }
  readonly error: {
    readonly code: string
    readonly message: string
    readonly remedy?: string
    readonly file?: string
    readonly line?: number
    readonly column?: number
    readonly path?: string
    readonly shard?: number
    readonly stderr?: string
  } | null
}

export interface Started {
  readonly child: ChildProcess
  /** Standard output so far. */
  readonly output: () => string
  /** Resolves once a line of standard output, so far or to come, satisfies the condition. */
  line(condition: (line: string) => boolean): Promise<string>
  readonly ended: Promise<Ended>
}

/** A machine of one's own: a job directory, a SKREI_HOME and a temporary directory, and the command line, run for real. */
export interface Place extends Disposable {
  readonly home: string
  readonly jobs: string
  start(...args: readonly string[]): Started
  /** With these variables besides. */
  startWith(environment: Readonly<Record<string, string>>, ...args: readonly string[]): Started
  skrei(...args: readonly string[]): Promise<Ended>
  /** Runs a job file with --json and whatever else; its last line is the result. */
  run(
    job: string,
    options?: { readonly args?: readonly string[]; readonly input?: string },
  ): Promise<Ended & { readonly events: readonly JsonEvent[]; readonly result: JsonResult }>
  write(name: string, content: string): string
  /** Writes the configuration of the node of this home. */
  configure(text: string): void
  /** Fails unless nothing is left: no run folder, no temporary file, no process, no stack trace in what was printed. */
  clean(ended?: Ended): void
}

/**
 * `variables`: of its environment. A Docker engine of the machine is hidden unless they say otherwise: what a node has does not depend on it. `bundle`: the program as it is published, in the
 * place of its sources.
 */
export const place = (variables: Readonly<Record<string, string>> = {}, bundle?: string): Place => {
  const root = mkdtempSync(join(tmpdir(), 'skrei-node-test-'))
  const home = join(root, 'home')
  const jobs = join(root, 'jobs')
  const temporary = join(root, 'tmp')
  mkdirSync(jobs)
  mkdirSync(temporary)
  writeFileSync(join(jobs, 'probe.wasm'), readFileSync(probe))
  const environment = {
    ...process.env,
    SKREI_HOME: home,
    TMPDIR: temporary,
    NO_COLOR: '1',
    npm_lifecycle_event: '',
    DOCKER_HOST: 'unix:///nowhere',
    ...variables,
  }

  const start = (args: readonly string[], input: string, more: Readonly<Record<string, string>> = {}): Started => {
    const child = spawn(process.execPath, [...(bundle === undefined ? ['--conditions=@skrei/source', main] : [bundle]), ...args], {
      cwd: jobs,
      env: { ...environment, ...more },
    })
    let stdout = ''
    let stderr = ''
    const waiting = new Set<() => void>()
    child.stdout.setEncoding('utf8').on('data', (text: string) => {
      stdout += text
      for (const look of waiting) look()
    })
    child.stderr.setEncoding('utf8').on('data', (text: string) => {
      stderr += text
    })
    child.stdin.on('error', () => undefined).end(input)
    const ended = once(child, 'close').then(([code]) => ({ code: code as number | null, stdout, stderr }))
    return {
      child,
      ended,
      output: () => stdout,
      line: (condition) =>
        new Promise((resolve, reject) => {
          const look = (): void => {
            const found = stdout.split('\n').find(condition)
            if (found === undefined) return
            waiting.delete(look)
            resolve(found)
          }
          waiting.add(look)
          look()
          void ended.then(() => reject(new Error(`ended before the line came: ${stdout}\n${stderr}`)))
        }),
    }
  }

  return {
    home,
    jobs,
    start: (...args) => start(args, ''),
    startWith: (more, ...args) => start(args, '', more),
    skrei: (...args) => start(args, '').ended,
    run: async (job, { args = [], input = '' } = {}) => {
      const file = input === '' ? join(jobs, 'job.yaml') : '-'
      if (input === '') writeFileSync(file, job)
      const ended = await start(['run', file, '--json', ...args], input).ended
      const events = ended.stdout
        .trimEnd()
        .split('\n')
        .map((line) => JSON.parse(line) as JsonEvent)
      return { ...ended, events, result: events.at(-1) as unknown as JsonResult }
    },
    write: (name, content) => {
      const path = join(jobs, name)
      writeFileSync(path, content)
      return path
    },
    configure: (text) => {
      mkdirSync(home, { recursive: true, mode: 0o700 })
      writeFileSync(join(home, 'config.yaml'), text)
    },
    clean: (ended) => {
      if (ended !== undefined) expect(ended.stderr + ended.stdout).not.toMatch(/\n\s+at .*[:(]/)
      expect(namesIn(join(home, 'runs'))).toEqual([])
      expect(namesIn(temporary)).toEqual([])
      expect(processesWith(home)).toEqual([])
    },
    [Symbol.dispose]: () => rmSync(root, { recursive: true, force: true }),
  }
}

export const namesIn = (directory: string): readonly string[] => {
  try {
    return readdirSync(directory)
  } catch {
    return []
  }
}

/** Command lines of processes that were started with this SKREI_HOME (Linux only; elsewhere none is seen). */
export const processesWith = (home: string): readonly string[] =>
  namesIn('/proc')
    .filter((name) => /^\d+$/.test(name))
    .flatMap((id) => {
      try {
        return readFileSync(`/proc/${id}/environ`, 'utf8').split('\0').includes(`SKREI_HOME=${home}`)
          ? [readFileSync(`/proc/${id}/cmdline`, 'utf8').replaceAll('\0', ' ')]
          : []
      } catch {
        return []
      }
    })

/** A job that runs the probe. */
export const probeJob = (args: readonly string[], rest = ''): string =>
  `apiVersion: skrei/v1\nengine:\n  type: wasm\n  module: { type: local, path: probe.wasm }\n  args: ${JSON.stringify(args)}\n${rest}`
