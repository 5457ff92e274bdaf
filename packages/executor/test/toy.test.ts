import { mkdtemp, readFile, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { Executor, RunEvent } from '@skrei/executor'
import { executorChecks, executorConformance, type Program, type Programs } from '@skrei/executor/conformance'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { toyExecutor } from './toy-executor.ts'

const toy = (...steps: readonly (readonly [string, ...unknown[]])[]): Program => ({ engine: { type: 'acme.dev/toy', steps } })

const programs: Programs = {
  hello: toy(['print', 'hello\n']),
  exit7: toy(['error', 'oops\n'], ['exit', 7]),
  forever: toy(['print', 'ready\n'], ['forever']),
  beats: toy(['print', 'ready\n'], ['beat', '/outputs/beat']),
  flood: toy(['print', 'flood '.repeat(50_000)]),
  environment: toy(['environment', 'GREETING']),
  reads: toy(['copy', '/inputs/letter.txt']),
  writes: toy(['write', '/outputs/greeting.txt', 'hello\n'], ['write', '/outputs/a/b/deep.txt', 'deep\n']),
  traps: toy(['trap', 'as told']),
  invalid: toy(['no such step']),
  unsupported: toy(['no such step']),
}

executorConformance({ name: 'toy', create: () => toyExecutor(), programs })

test('the README shows the toy as it is', async () => {
  const read = (path: string) => readFile(new URL(path, import.meta.url), 'utf8')
  expect(await read('../README.md')).toContain(await read('./toy-executor.ts'))
})

// A broken executor may write into its directories while the suite removes them: what is left goes with this one.
const scratch = await mkdtemp(join(tmpdir(), 'skrei-broken-'))
process.env['TMPDIR'] = scratch
afterAll(() => rm(scratch, { recursive: true, maxRetries: 10, retryDelay: 50 }))

/** An executor that breaks one promise, and what the suite must have to say about it. */
type Mutant = readonly [name: string, break_: (executor: Executor) => Partial<Executor>, caught: RegExp]

const changing =
  (change: (events: AsyncIterable<RunEvent>) => AsyncIterable<RunEvent>) =>
  (executor: Executor): Partial<Executor> => ({
    run: (request, options) => change(executor.run(request, options)),
  })

const mutants: readonly Mutant[] = [
  [
    'says nothing at the end',
    changing(async function* (events) {
      for await (const event of events) if (event.type !== 'exit') yield event
    }),
    /without an exit/,
  ],
  [
    'says the end twice',
    changing(async function* (events) {
      for await (const event of events) {
        yield event
        if (event.type === 'exit') yield event
      }
    }),
    /after the exit/,
  ],
  [
    'leaves a gap in its output',
    changing(async function* (events) {
      for await (const event of events) yield event.type === 'output' ? { ...event, offset: event.offset + 1 } : event
    }),
    /not contiguous/,
  ],
  [
    'mixes up its streams',
    changing(async function* (events) {
      for await (const event of events) yield event.type === 'output' ? { ...event, stream: 'stdout' } : event
    }),
    /./,
  ],
  [
    'calls an exit code a success',
    changing(async function* (events) {
      for await (const event of events) {
        if (event.type !== 'exit') yield event
        else {
          const { failure: _, ...rest } = event
          yield rest
        }
      }
    }),
    /failure too|exit code nor a failure/,
  ],
  [
    'hides that output was cut',
    changing(async function* (events) {
      for await (const event of events) yield event.type === 'exit' ? { ...event, facts: {} } : event
    }),
    /./,
  ],
  [
    'holds its output back until the end',
    changing(async function* (events) {
      const all: RunEvent[] = []
      for await (const event of events) all.push(event)
      yield* all
    }),
    /in time/,
  ],
  [
    'forgets the timeout',
    (executor) => ({ run: (request, options) => executor.run({ ...request, task: { ...request.task, timeout: 1e9 } }, options) }),
    /in time/,
  ],
  [
    'forgets the limits',
    (executor) => ({
      run: (request, options) => executor.run({ ...request, task: { ...request.task, limits: { stdout: 1e9, stderr: 1e9, files: 1e9 } } }, options),
    }),
    /./,
  ],
  ['cannot be aborted', (executor) => ({ run: (request) => executor.run(request, {}) }), /./],
  ['stops nothing', () => ({ stop: async () => undefined }), /./],
  [
    'stops without a tombstone',
    (executor) => ({
      stop: async (id, options) => {
        await executor.stop(id, options)
        await executor.remove(id)
      },
    }),
    /./,
  ],
  [
    'does not wait for the death',
    (executor) => ({ stop: async (id, options) => void setTimeout(() => executor.stop(id, options).catch(() => undefined), 400) }),
    /./,
  ],
  [
    'runs again what ended',
    (executor) => {
      let count = 0
      return { run: (request, options) => executor.run({ ...request, id: `${request.id}-${++count}` }, options) }
    },
    /./,
  ],
  ['knows no leftovers', () => ({ async *leftovers() {} }), /./],
  ['removes nothing', () => ({ remove: async () => undefined }), /./],
  ['would run anything', () => ({ assess: async () => [] }), /./],
  ['would run nothing', () => ({ assess: async () => [{ code: 'policy', detail: 'no' }] }), /./],
  ['gives a stale environment', (executor) => ({ run: (request, options) => executor.run({ ...request, env: {} }, options) }), /./],
  [
    'starts before it looks at the signal',
    (executor) => ({
      run: async function* (request, options) {
        yield* executor.run(request, {})
        options.signal?.throwIfAborted()
      },
    }),
    /./,
  ],
]

/** What a check of a broken executor waits for may never come. */
const inTime = (work: Promise<void>): Promise<void> => {
  let timer: NodeJS.Timeout | undefined
  const late = new Promise<void>((_, reject) => (timer = setTimeout(() => reject(new Error('not in time')), 3000)))
  return Promise.race([work, late]).finally(() => clearTimeout(timer))
}

/** Runs every check at once against executors that break one promise, and ends what those left running. */
const complaintsOf = async (change: (executor: Executor) => Partial<Executor>): Promise<string> => {
  const intact: Executor[] = []
  const create = () => {
    const executor = toyExecutor()
    intact.push(executor)
    return { ...executor, ...change(executor) }
  }
  const checks = executorChecks({ name: 'broken', create, programs }).filter(({ missing }) => missing === undefined)
  const running = checks.map((check) => check.run())
  const complaints = await Promise.all(
    running.map((run, index) =>
      inTime(run).then(
        () => [],
        (error: unknown) => [`${checks[index]?.name}: ${String(error)}`],
      ),
    ),
  )
  const settled = Promise.allSettled(running).then(() => true)
  while (!(await Promise.race([settled, new Promise<boolean>((resolve) => setTimeout(resolve, 50, false))]))) {
    for (const executor of intact) for await (const id of executor.leftovers()) await executor.remove(id)
  }
  return complaints.flat().join('\n')
}

test('an executor that hangs fails the check by its name, within the deadline, also where it hangs in cleaning up', async () => {
  const never = new Promise<never>(() => {})
  const checksOf = (broken: Partial<Executor>) => executorChecks({ name: 'hangs', create: () => ({ ...toyExecutor(), ...broken }), programs, deadline: 50 })
  const [first] = checksOf({ inventory: () => never })
  await expect(first?.run()).rejects.toThrow(`"${first?.name}" has not ended within 50 ms: the driver hangs`)
  const hello = checksOf({ remove: () => never }).find(({ name }) => name === 'a program runs to its end')
  await expect(hello?.run()).rejects.toThrow(`"${hello?.name}, with its cleaning up" has not ended within 100 ms`)
})

test('what is not checked says why', () => {
  const reasons = executorChecks({ name: 'toy', create: () => toyExecutor(), programs, capabilities: { network: true } }).flatMap(({ name, missing }) =>
    missing === undefined ? [] : [`${name}: ${missing}`],
  )
  expect(reasons).toContain('standard input arrives: no program stdin')
  expect(reasons).toContain('assess refuses a network that the engine does not give: the engine gives the network: capability network')
  expect(reasons).toContain('after a restart a tombstone still refuses: the executor does not promise it: no capability restart')
})

test('the executor that the broken ones are made of breaks no promise', async () => {
  expect(await complaintsOf(() => ({}))).toBe('')
})

describe('an executor that', () => {
  const found = new Map<string, Promise<string>>()
  // All at once: most of the time is waiting for what does not happen.
  beforeAll(() => {
    for (const [name, change] of mutants) found.set(name, complaintsOf(change))
  })
  test.each(mutants)('%s is caught', async (name, _, caught) => {
    expect(await found.get(name)).toMatch(caught)
  })
})
