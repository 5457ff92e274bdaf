import { mkdir, mkdtemp, readdir, readFile, rm, symlink, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { RunEvent, RunExit, RunRequest } from '@skrei/executor'
import { taskFor } from '@skrei/executor/conformance'
import type { Task } from '@skrei/job-spec'
import { afterEach, beforeEach, expect, test } from 'vitest'
import { EngineError } from '../src/engine-client.ts'
import { type DockerExecutor, executorOn } from '../src/executor.ts'
import type { DockerOptions } from '../src/options.ts'
import { type FakeEngine, fakeEngine } from './fake-engine.ts'

let root = ''
let engine: FakeEngine
let executor: DockerExecutor
const name = 'skrei.one'

beforeEach(async () => {
  root = await mkdtemp(join(tmpdir(), 'skrei-fake-'))
  engine = fakeEngine()
  executor = make()
})
afterEach(async () => {
  await executor[Symbol.asyncDispose]()
  await rm(root, { recursive: true })
})

const make = (options: Partial<DockerOptions> = {}) => executorOn(engine, { directory: join(root, 'state'), evidenceInterval: 0, ...options })
const spec = { type: 'docker', image: 'busybox' } as const
const request = (changes: Partial<Task> = {}): RunRequest => ({
  id: 'one',
  task: { ...taskFor(spec), ...changes },
  seed: new Uint8Array(32),
  mounts: [],
  files: {},
  env: {},
  devices: [],
  from: { stdout: 0, stderr: 0 },
})

const run = async (of = executor, on: (event: RunEvent) => void = () => undefined): Promise<{ stdout: string; exit: RunExit | undefined }> => {
  let stdout = ''
  let exit: RunExit | undefined
  for await (const event of of.run(request(), {})) {
    on(event)
    if (event.type === 'output') stdout += new TextDecoder().decode(event.bytes)
    if (event.type === 'exit') exit = event
  }
  return { stdout, exit }
}

/** Runs, and does something once the program runs. */
const running = async (then: () => void): Promise<{ stdout: string; exit: RunExit | undefined }> =>
  run(executor, (event) => event.type === 'progress' && event.phase === 'run' && then())

test('an engine that is not there is the fault of the node, and the id may run again', async () => {
  engine.fail = () => new EngineError('the Docker engine cannot be reached')
  await expect(run()).rejects.toThrow('cannot be reached')
  engine.fail = () => undefined
  expect((await running(() => engine.end(name))).exit?.exit).toBe(0)
})

test('an engine that is gone for a while does not end what runs, nor lose its output', async () => {
  let failures = 0
  const { stdout, exit } = await running(() => {
    engine.write(name, 'stdout', 'before ')
    engine.fail = (call) => ((call === 'logs' || call === 'endAfter') && failures++ < 4 ? new EngineError('the Docker engine cannot be reached') : undefined)
    setImmediate(() => {
      engine.hangUp()
      engine.write(name, 'stdout', 'after')
      setTimeout(() => engine.end(name), 1000)
    })
  })
  expect([stdout, exit?.exit]).toEqual(['before after', 0])
  expect(failures).toBeGreaterThan(4)
})

test('a container that somebody removed while it ran is the fault of the node, and does not run again', async () => {
  await expect(
    running(() => {
      engine.inspect = async () => undefined
      engine.end(name)
    }),
  ).rejects.toThrow('somebody removed')
  expect((await run()).exit?.failure?.code).toBe('node-fault')
})

test('a kill that the engine does not answer is repeated', async () => {
  let kills = 0
  const running_ = running(() => {
    engine.fail = (call) => (call === 'kill' && ++kills < 3 ? new EngineError('no answer') : undefined)
    void executor.stop('one')
  })
  expect((await running_).exit?.failure?.code).toBe('cancelled')
  expect(kills).toBeGreaterThanOrEqual(3)
})

test('a container that was made and never started is made anew', async () => {
  engine.fail = (call) => (call === 'attach' || call === 'remove' ? new EngineError('no answer') : undefined)
  await expect(run()).rejects.toThrow('no answer')
  expect(engine.containers_.get(name)?.container.state).toBe('created')
  engine.fail = () => undefined
  expect((await running(() => engine.end(name))).exit?.exit).toBe(0)
  // The second time the name was taken.
  expect(engine.calls.filter((call) => call === 'create')).toHaveLength(3)
})

test('a container that runs under its name, of which there is no record, is taken up', async () => {
  await running(() => void executor[Symbol.asyncDispose]()).catch(() => undefined)
  await rm(join(root, 'state'), { recursive: true })
  executor = make()
  expect((await running(() => engine.end(name))).exit?.exit).toBe(0)
  expect(engine.calls.filter((call) => call === 'start')).toHaveLength(1)
})

test('an execution asks the engine for no more than it needs', async () => {
  await executor.assess(request().task)
  expect((await running(() => engine.end(name))).exit?.exit).toBe(0)
  await executor.remove('one')
  expect(engine.calls).toEqual(['image', 'create', 'attach', 'start', 'inspect', 'remove'])
})

test('an image that went between the bid and the start is looked for again', async () => {
  await executor.assess(request().task)
  let gone = true
  engine.fail = (call) => {
    if (call === 'image') gone = false
    return call === 'create' && gone ? new EngineError('No such image: sha256:1', 404) : undefined
  }
  expect((await running(() => engine.end(name))).exit?.exit).toBe(0)
})

test('outputs that may not be used are emptied once it is on record why, and by a node that was killed in between', async () => {
  const outputs = join(root, 'outputs')
  const mounts = [{ path: outputs, at: '/outputs', writable: true }]
  const follow = async (): Promise<RunExit | undefined> => {
    for await (const event of executor.run({ ...request(), mounts }, {})) {
      if (event.type === 'exit') return event
      if (event.type !== 'progress' || event.phase !== 'run') continue
      await symlink('/', join(outputs, 'link'))
      engine.end(name)
    }
    return undefined
  }
  await mkdir(outputs)
  expect((await follow())?.failure?.code).toBe('output-unsafe')
  expect(await readdir(outputs)).toEqual([])
  // What such a node leaves: the note, and the link.
  const record = join(root, 'state', 'one', 'record.json')
  const { exit } = JSON.parse(await readFile(record, 'utf8')) as { readonly exit: RunExit }
  await writeFile(record, JSON.stringify({ state: 'started', note: { ended: JSON.stringify(exit), isSpoiled: 'true' } }))
  await symlink('/', join(outputs, 'link'))
  expect((await follow())?.failure?.code).toBe('output-unsafe')
  expect(await readdir(outputs)).toEqual([])
})

test('memory is told apart from other ends, and only where it ended the program', async () => {
  const ends = [
    [{ exitCode: 137, outOfMemory: true }, 'out-of-memory'],
    [{ exitCode: 137 }, 'exit-nonzero'],
    [{ exitCode: 0, outOfMemory: true }, undefined],
  ] as const
  for (const [end, code] of ends) {
    expect((await running(() => engine.end(name, end))).exit?.failure?.code).toBe(code)
    await executor.remove('one')
  }
})

test('what does not start for the sake of the image or the job is no fault of the node', async () => {
  const of = (text: string) => `failed to create shim task: OCI runtime create failed: runc create failed: unable to start container process: ${text}: unknown`
  const starts = [
    [of('exec: "nothing": executable file not found in $PATH'), 'module-invalid'],
    [of('exec /bin/program: exec format error'), 'module-invalid'],
    ['unable to find user worker: no matching entries in passwd file', 'task-invalid'],
    ['uids and gids must be in range 0-2147483647', 'task-invalid'],
    ['Cannot mkdir: /bin/sh is not a directory', 'task-invalid'],
  ] as const
  for (const [message, code] of starts) {
    engine.fail = (call) => (call === 'start' ? new EngineError(message, 400) : undefined)
    expect((await run()).exit?.failure?.code).toBe(code)
    await executor.remove('one')
  }
  engine.fail = (call) => (call === 'create' ? new EngineError('invalid mount config for type "bind": bind source path does not exist: /x', 400) : undefined)
  await expect(run()).rejects.toThrow('bind source path')
})

test('assess knows what will not run before anything is done', async () => {
  const codes = async (changes: Partial<Task>, options: Partial<DockerOptions> = {}) => {
    const one = make(options)
    return (await one.assess({ ...taskFor(spec), ...changes })).map(({ code }) => code)
  }
  const { resources } = taskFor(spec)
  expect(await codes({})).toEqual([])
  expect(await codes({ engine: { type: 'docker', image: 'Not A Name' } })).toEqual(['task-unsupported'])
  expect(await codes({ engine: { ...spec, image: 'absent', pull: 'never' } })).toEqual(['image-missing'])
  expect(await codes({ engine: { ...spec, image: 'absent' } }, { images: { pull: false } })).toEqual(['image-missing'])
  expect(await codes({}, { images: { allow: ['ghcr.io/*/*'] } })).toEqual(['policy'])
  expect(await codes({ engine: { ...spec, user: '000' } })).toEqual(['policy'])
  expect(await codes({ resources: { ...resources, memory: 1 << 20 } })).toEqual(['task-unsupported'])
  expect(await codes({ resources: { ...resources, gpu: { count: 1 } } })).toEqual(['exceeds-node'])
  for (const path of ['/', '/proc/x', '/dev']) expect(await codes({ outputs: [{ name: 'x', path }] })).toEqual(['task-unsupported'])
})

test('devices are given to the container, and counted', async () => {
  const list = async () => [{ id: 'gpu-1', kind: 'gpu' as const }]
  const grant = async (ids: readonly string[]) => ({ hostConfig: { DeviceRequests: ids }, env: { NVIDIA_VISIBLE_DEVICES: ids.join(',') } })
  executor = make({ devices: { list, grant } })
  expect((await executor.inventory()).devices).toEqual(await list())
  expect(await executor.assess({ ...taskFor(spec), resources: { ...taskFor(spec).resources, gpu: { count: 1 } } })).toEqual([])
  // One that does not fit does not count.
  const refusals = await executor.assess({ ...taskFor(spec), resources: { ...taskFor(spec).resources, gpu: { count: 1, vendor: 'amd' } } })
  expect(refusals).toMatchObject([{ code: 'exceeds-node', resource: 'gpu', wanted: 1, available: 0 }])
  let asked: unknown
  for await (const event of executor.run({ ...request(), devices: ['gpu-1'], env: { NVIDIA_VISIBLE_DEVICES: 'all' } }, {})) {
    if (event.type !== 'progress' || event.phase !== 'run') continue
    asked = engine.containers_.get(name)?.config
    engine.end(name)
  }
  expect(asked).toMatchObject({ HostConfig: { DeviceRequests: ['gpu-1'] }, Env: ['NVIDIA_VISIBLE_DEVICES=gpu-1'] })
})

test('a container says whose it is: home, execution, spec, and the job and the node where they are told', async () => {
  const labelled = make({ node: '12D3KooW' })
  const seen: Readonly<Record<string, string>>[] = []
  for await (const event of labelled.run({ ...request(), job: 'a job' }, {}))
    if (event.type === 'progress' && event.phase === 'run') {
      seen.push(engine.containers_.get(name)?.labels ?? {})
      engine.end(name)
    }
  expect(seen).toEqual([
    { 'skrei.home': expect.any(String), 'skrei.execution': 'one', 'skrei.spec': request().task.specCid, 'skrei.job': 'a job', 'skrei.node': '12D3KooW' },
  ])
})
