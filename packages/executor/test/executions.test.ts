import { expect, test } from 'vitest'
import { taskFor } from '../src/conformance-bench.ts'
import { type Execution, type ExecutionRecords, executions, memoryRecords, type Outcome } from '../src/executions.ts'
import type { RunEvent, RunRequest } from '../src/index.ts'

const request: RunRequest = {
  id: 'one',
  task: taskFor({ type: 'acme.dev/test' }),
  seed: new Uint8Array(16),
  mounts: [],
  files: {},
  env: {},
  devices: [],
  from: { stdout: 0, stderr: 0 },
}

const untilTold = async (execution: Execution): Promise<Outcome> => {
  execution.running()
  await new Promise((resolve) => execution.signal.addEventListener('abort', resolve))
  return { usage: {}, facts: {} }
}

const all = async (events: AsyncIterable<RunEvent>): Promise<readonly RunEvent[]> => {
  const told: RunEvent[] = []
  for await (const event of events) told.push(event)
  return told
}

test('where a tombstone cannot be written stop says so, and the program is dead all the same', async () => {
  const memory = memoryRecords()
  const records: ExecutionRecords = {
    ...memory,
    put: async (id, record) => {
      if (record.state === 'stopped') throw new Error('the disk is full')
      await memory.put(id, record)
    },
  }
  let ended = false
  const { run, stop } = executions({ records, start: (execution) => untilTold(execution).finally(() => (ended = true)) })
  const running = all(run(request, {}))
  running.catch(() => undefined)
  await new Promise((resolve) => setImmediate(resolve))
  await expect(stop('one')).rejects.toThrow('the disk is full')
  expect(ended).toBe(true)
  await expect(running).rejects.toThrow('the disk is full')
})

test('a fault before the program runs is forgotten; one after it has ended the id', async () => {
  const faults = [false, true]
  let starts = 0
  const { run } = executions({
    start: async (execution) => {
      starts++
      if (faults.shift()) execution.running()
      throw new Error('broken')
    },
  })
  await expect(all(run(request, {}))).rejects.toThrow('broken')
  await expect(all(run(request, {}))).rejects.toThrow('broken')
  expect((await all(run(request, {}))).at(-1)).toMatchObject({ type: 'exit', failure: { code: 'node-fault' } })
  expect(starts).toBe(2)
})

test('who attaches late hears the newest progress, and who does not listen loses evidence but not the exit', async () => {
  const { promise: go, resolve: proceed } = Promise.withResolvers<void>()
  const { run } = executions({
    start: async (execution) => {
      execution.tell({ type: 'progress', phase: 'pull', done: 1 })
      execution.tell({ type: 'progress', phase: 'pull', done: 2 })
      await go
      for (let at = 0; at < 1000; at++) execution.tell({ type: 'evidence', at, counters: {} })
      execution.write('stdout', new Uint8Array(200_000))
      return { exit: 0, usage: {}, facts: {} }
    },
  })
  const slow = run(request, {})[Symbol.asyncIterator]()
  expect((await slow.next()).value).toEqual({ type: 'progress', phase: 'pull', done: 2 })
  proceed()
  const events: RunEvent[] = []
  for (let next = await slow.next(); !next.done; next = await slow.next()) events.push(next.value)
  expect(events.filter(({ type }) => type === 'evidence').map((event) => event.type === 'evidence' && event.at)).toEqual(
    Array.from({ length: 256 }, (_, index) => 744 + index),
  )
  expect(events.reduce((sum, event) => sum + (event.type === 'output' ? event.bytes.length : 0), 0)).toBe(200_000)
  expect(events.at(-1)).toEqual({ type: 'exit', exit: 0, usage: {}, facts: {} })
})

test('a timeout longer than a timer can wait does not come at once', async () => {
  const { run, stop } = executions({ start: untilTold })
  const long = { ...request, task: { ...request.task, timeout: 2 ** 40 } }
  const running = all(run(long, {}))
  await new Promise((resolve) => setTimeout(resolve, 20))
  await stop('one')
  expect((await running).at(-1)).toMatchObject({ failure: { code: 'cancelled' } })
})

const started = async (note: Readonly<Record<string, string>>): Promise<ExecutionRecords> => {
  const records = memoryRecords()
  await records.put('one', { state: 'started', note })
  const log = await records.log('one')
  log.append('stdout', new TextEncoder().encode('before '))
  return records
}
const never = async (): Promise<Outcome> => {
  throw new Error('it was started a second time')
}

test('what a former process started is taken up from its note, with its output and the time that is left', async () => {
  const records = await started({ container: 'abc' })
  const waits: number[] = []
  const { run } = executions({
    records,
    start: never,
    wait: async (milliseconds) => void waits.push(milliseconds),
    resume: async (execution, note) => {
      execution.running(59_000)
      execution.write('stdout', new TextEncoder().encode(`${execution.written('stdout')} ${note['container']}`))
      await new Promise((resolve) => execution.signal.addEventListener('abort', resolve))
      return { usage: {}, facts: {} }
    },
  })
  const events = await all(run(request, {}))
  const text = events.map((event) => (event.type === 'output' ? new TextDecoder().decode(event.bytes) : '')).join('')
  expect(text).toBe('before 7 abc')
  expect(waits).toEqual([1000])
  expect(events.at(-1)).toMatchObject({ failure: { code: 'timeout' } })
  expect(await records.get('one')).toMatchObject({ state: 'ended' })
})

test('where nothing is left to take up the id ends with node-restarted', async () => {
  const { run } = executions({ records: await started({}), start: never, resume: async () => undefined })
  for (let time = 0; time < 2; time++) expect((await all(run(request, {}))).at(-1)).toMatchObject({ failure: { code: 'node-restarted' } })
})

test('where taking up fails, or the program is left to a later process, it stays on record as started', async () => {
  const records = await started({ container: 'abc' })
  const answers = [() => Promise.reject(new Error('the engine is down')), async () => 'left' as const, async () => ({ exit: 0, usage: {}, facts: {} })]
  const { run } = executions({ records, start: never, resume: async () => (answers.shift() ?? never)() })
  await expect(all(run(request, {}))).rejects.toThrow('the engine is down')
  expect(await records.get('one')).toEqual({ state: 'started', note: { container: 'abc' } })
  await expect(all(run(request, {}))).rejects.toThrow('it goes on')
  expect(await records.get('one')).toEqual({ state: 'started', note: { container: 'abc' } })
  expect((await all(run(request, {}))).at(-1)).toMatchObject({ exit: 0 })
})

test('the driver is told of an end once that is on record, and not of what it left running', async () => {
  const memory = memoryRecords()
  const outcomes: (Outcome | 'left')[] = ['left', { exit: 0, usage: {}, facts: {} }]
  const told: unknown[] = []
  let written: unknown
  const { run } = executions({
    records: {
      ...memory,
      put: async (id, record) => {
        await memory.put(id, record)
        written = record.state
      },
    },
    start: async () => outcomes.shift() ?? 'left',
    resume: async () => outcomes.shift() ?? 'left',
    recorded: (id) => told.push([id, written]),
  })
  await expect(all(run(request, {}))).rejects.toThrow('goes on')
  expect(told).toEqual([])
  await all(run(request, {}))
  expect(told).toEqual([['one', 'ended']])
})
