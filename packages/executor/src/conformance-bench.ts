import assert from 'node:assert/strict'
import { mkdir, mkdtemp, readFile, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { failureSchema, type Task, usageSchema } from '@skrei/job-spec'
import type { Executor, RunEvent, RunExit, RunRequest } from './index.ts'
import type { Program, Programs } from './programs.ts'

/** What a run came to, for a check. */
export interface Ran {
  readonly stdout: string
  readonly stderr: string
  readonly exit: RunExit
}

export interface RunOptions {
  readonly id?: string
  readonly limits?: Partial<Task['limits']>
  readonly resources?: Partial<Task['resources']>
  readonly timeout?: number
  readonly env?: Readonly<Record<string, string>>
  readonly seed?: Uint8Array
  readonly from?: RunRequest['from']
  readonly signal?: AbortSignal
  readonly onEvent?: (event: RunEvent) => void
}

/** One check's executor, its directories and its ways to run programs. */
export interface Bench {
  readonly executor: Executor
  readonly inputs: string
  readonly outputs: string
  request(program: Program, options?: RunOptions): RunRequest
  /** Runs to the end and checks what holds for every run: one exit, last, well formed; offsets without gap. */
  run(program: Program, options?: RunOptions): Promise<Ran>
  /** A second executor on the same home, as after a restart of the node. */
  restart(): Promise<Executor>
  /** Everything of the check so far, with another executor. */
  using(executor: Executor): Bench
}

export const taskFor = (engine: Task['engine'], options: RunOptions = {}): Task => ({
  specCid: 'bafyreigh2akiscaildcqabsyg3dfr6chu3fgpregiymsck7e7aqa4s52zy',
  engine,
  env: {},
  outputs: [{ name: 'outputs', path: '/outputs' }],
  resources: { cpu: 500, memory: 256 * 2 ** 20, disk: 64 * 2 ** 20, gpu: { count: 0 }, ...options.resources },
  limits: { stdout: 2 ** 20, stderr: 2 ** 20, files: 1000, ...options.limits },
  network: { mode: 'none' },
  timeout: options.timeout ?? 60_000,
})

const follow = async (executor: Executor, request: RunRequest, options: RunOptions): Promise<Ran> => {
  const text = { stdout: '', stderr: '' }
  const decoders = { stdout: new TextDecoder(), stderr: new TextDecoder() }
  const offsets = { ...request.from }
  let exit: RunExit | undefined
  for await (const event of executor.run(request, options.signal === undefined ? {} : { signal: options.signal })) {
    assert.equal(exit, undefined, `an event came after the exit: ${event.type}`)
    if (event.type === 'output') {
      assert.equal(event.offset, offsets[event.stream], `${event.stream} is not contiguous`)
      assert.ok(event.bytes.length > 0, 'an output event is empty')
      offsets[event.stream] += event.bytes.length
      text[event.stream] += decoders[event.stream].decode(event.bytes, { stream: true })
    }
    if (event.type === 'exit') exit = event
    options.onEvent?.(event)
  }
  assert.ok(exit !== undefined, 'the run ended without an exit event')
  usageSchema.parse(exit.usage)
  if (exit.failure !== undefined) failureSchema.parse(exit.failure)
  assert.ok(exit.exit !== undefined || exit.failure !== undefined, 'the exit event has neither an exit code nor a failure')
  if (exit.exit !== undefined) assert.equal(exit.exit === 0, exit.failure === undefined, 'an exit code other than 0, and only that, is a failure too')
  return { ...text, exit }
}

/** Gives `work` a bench of its own and cleans up after it, whatever happens. */
export const withBench = async (
  create: (context: { readonly home: string }) => Executor | Promise<Executor>,
  work: (bench: Bench) => Promise<void>,
): Promise<void> => {
  const root = await mkdtemp(join(tmpdir(), 'skrei-executor-'))
  const [home, inputs, outputs] = [join(root, 'home'), join(root, 'inputs'), join(root, 'outputs')]
  const created: Executor[] = []
  const ids = new Set<string>()
  let count = 0
  const open = async (): Promise<Executor> => {
    const executor = await create({ home })
    created.push(executor)
    return executor
  }
  const using = (executor: Executor): Bench => {
    const request = (program: Program, options: RunOptions = {}): RunRequest => {
      const id = options.id ?? `execution-${++count}`
      ids.add(id)
      return {
        id,
        task: taskFor(program.engine, options),
        seed: options.seed ?? new Uint8Array(32).fill(7),
        mounts: [
          { path: inputs, at: '/inputs', writable: false },
          { path: outputs, at: '/outputs', writable: true },
        ],
        files: program.files ?? {},
        env: options.env ?? {},
        devices: [],
        from: options.from ?? { stdout: 0, stderr: 0 },
      }
    }
    return {
      executor,
      inputs,
      outputs,
      request,
      run: (program, options = {}) => {
        const result = follow(executor, request(program, options), options)
        // A check that fails before it comes to wait for this has said enough.
        result.catch(() => undefined)
        return result
      },
      restart: async () => {
        await dispose(executor)
        return open()
      },
      using,
    }
  }
  try {
    for (const directory of [home, inputs, outputs]) await mkdir(directory)
    await work(using(await open()))
  } finally {
    const last = created.at(-1)
    for (const id of ids) await last?.remove(id)
    for (const executor of created) await dispose(executor)
    await rm(root, { recursive: true, force: true })
  }
}

const dispose = async (executor: Executor & Partial<AsyncDisposable>): Promise<void> => {
  await executor[Symbol.asyncDispose]?.()
}

/** Tells when a run has written `ready` and a newline to its standard output; `seen` rejects where it ends before. */
export const ready = (): { readonly seen: (running: Promise<Ran>) => Promise<void>; readonly onEvent: (event: RunEvent) => void } => {
  const { promise, resolve } = Promise.withResolvers<void>()
  let text = ''
  const decoder = new TextDecoder()
  return {
    seen: (running) => Promise.race([promise, running.then(() => assert.fail('the program ended before it had written "ready"'))]),
    onEvent: (event) => {
      if (event.type !== 'output' || event.stream !== 'stdout') return
      text += decoder.decode(event.bytes, { stream: true })
      if (text.includes('ready\n')) resolve()
    },
  }
}

const pause = (milliseconds: number) => new Promise<void>((resolve) => setTimeout(resolve, milliseconds))

const content = (path: string) => readFile(path, 'latin1').catch(() => '')

/** Waits until a file that the program keeps changing has changed: the program runs. */
export const beating = async (path: string): Promise<void> => {
  const before = await content(path)
  for (let tries = 0; tries < 200; tries++) {
    await pause(25)
    if ((await content(path)) !== before) return
  }
  assert.fail('the program does not change /outputs/beat')
}

/** That nothing happens is seen only by waiting: a file that the program kept changing stays as it is. */
export const assertStill = async (path: string): Promise<void> => {
  const before = await content(path)
  await pause(150)
  assert.equal(await content(path), before, 'the program still runs: /outputs/beat changes')
}

/** `work` gets the first of the programs that the check needs. `inapplicable` says why the check is skipped whatever programs there are. */
export type AddCheck = (
  name: string,
  needs: keyof Programs | readonly (keyof Programs)[],
  work: (bench: Bench, program: Program) => Promise<void>,
  inapplicable?: string,
) => void
