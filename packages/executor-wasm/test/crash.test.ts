import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdir, mkdtemp, readFile, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import type { RunExit } from '@skrei/executor'
import { type Program, taskFor } from '@skrei/executor/conformance'
import { directoryRecords } from '@skrei/executor/directory-records'
import { afterEach, beforeEach, expect, test } from 'vitest'
import { type WasmExecutor, wasmExecutor } from '../src/index.ts'
import { program } from './modules.ts'

// What the machine's own process table says is Linux's; so are these tests.
const onLinux = test.skipIf(process.platform !== 'linux')
const id = 'Execution/1'

let root = ''
beforeEach(async () => {
  root = await mkdtemp(join(tmpdir(), 'skrei-crash-'))
  await mkdir(join(root, 'outputs'))
})
afterEach(() => rm(root, { recursive: true }))

const state = () => join(root, 'state')

/** Starts a node in a process of its own, waits until its guest says `ready`, and kills the node. Returns the pid of the guest's process. */
const crash = async (name: string): Promise<number> => {
  const entry = fileURLToPath(new URL('./node-that-dies.ts', import.meta.url))
  const node = spawn(process.execPath, ['--conditions=@skrei/source', '--no-warnings', entry, name, state(), join(root, 'outputs')], {
    stdio: ['ignore', 'pipe', 'inherit'],
  })
  const dead = once(node, 'exit')
  try {
    await once(node.stdout, 'data')
    const record = await directoryRecords(state()).get(id)
    if (record?.state !== 'started') throw new Error('the record does not say that it started')
    return Number(record.note['pid'])
  } finally {
    node.kill('SIGKILL')
    await dead
  }
}

const isGone = async (pid: number): Promise<boolean> => {
  const stat = await readFile(`/proc/${pid}/stat`, 'latin1').catch(() => undefined)
  return stat === undefined || stat.includes(') Z ')
}
const gone = async (pid: number): Promise<void> => {
  while (!(await isGone(pid))) await new Promise((resolve) => setTimeout(resolve, 10))
}

const exitOf = async (executor: WasmExecutor, { engine, files = {} }: Program): Promise<RunExit | undefined> => {
  const mounts = [{ path: join(root, 'outputs'), at: '/outputs', writable: true }]
  const request = { id, task: taskFor(engine), seed: new Uint8Array(32), mounts, files, env: {}, devices: [], from: { stdout: 0, stderr: 0 } }
  let exit: RunExit | undefined
  for await (const event of executor.run(request, {})) if (event.type === 'exit') exit = event
  return exit
}

onLinux.each(['beats', 'forever'])('when the node is killed, its guest dies with it, whatever it is doing: %s', async (name) => {
  const pid = await crash(name)
  await gone(pid)
  await using executor = wasmExecutor({ directory: state(), warm: 0 })
  const left: string[] = []
  for await (const one of executor.leftovers()) left.push(one)
  expect(left).toEqual([id])
  // It may have written anything to its outputs: it is not run again.
  const exit = await exitOf(executor, program('hello'))
  expect(exit?.failure?.code).toBe('node-restarted')
  expect(await exitOf(executor, program('hello'))).toEqual(exit)
  await executor.remove(id)
  expect((await exitOf(executor, program('hello')))?.exit).toBe(0)
})

const sleeper = async () => {
  const process_ = spawn(process.execPath, ['-e', 'setInterval(() => undefined, 1000); process.stdout.write("up")'], { stdio: ['ignore', 'pipe', 'ignore'] })
  await once(process_.stdout, 'data')
  const stat = await readFile(`/proc/${process_.pid}/stat`, 'latin1')
  return { child: process_, note: { pid: String(process_.pid), startTime: stat.slice(stat.lastIndexOf(')') + 2).split(' ')[19] ?? '' } }
}

onLinux('a process that outlived its node is killed by stop, by remove and before its id is answered for', async () => {
  for (const end of ['stop', 'remove', 'run'] as const) {
    const { child, note } = await sleeper()
    await directoryRecords(state()).put(id, { state: 'started', note })
    const dead = once(child, 'exit')
    await using executor = wasmExecutor({ directory: state(), warm: 0 })
    if (end === 'run') expect((await exitOf(executor, program('hello')))?.failure?.code).toBe('node-restarted')
    else await executor[end](id)
    await gone(child.pid ?? 0)
    await dead
    await executor.remove(id)
  }
})

onLinux('a process that merely has the pid of one that died is left alone', async () => {
  const { child, note } = await sleeper()
  await directoryRecords(state()).put(id, { state: 'started', note: { ...note, startTime: '1' } })
  await using executor = wasmExecutor({ directory: state(), warm: 0 })
  await executor.stop(id)
  expect(await isGone(child.pid ?? 0)).toBe(false)
  const dead = once(child, 'exit')
  child.kill('SIGKILL')
  await dead
})

test('what runs when the executor is disposed of fails with the fault of the node, and is not run again', async () => {
  const executor = wasmExecutor({ directory: state(), warm: 0 })
  const mounts = [{ path: join(root, 'outputs'), at: '/outputs', writable: true }]
  const { engine, files = {} } = program('forever')
  const request = { id, task: taskFor(engine), seed: new Uint8Array(32), mounts, files, env: {}, devices: [], from: { stdout: 0, stderr: 0 } }
  const running = (async () => {
    for await (const event of executor.run(request, {})) if (event.type === 'output') void executor[Symbol.asyncDispose]()
  })()
  await expect(running).rejects.toThrow(/ended by itself|dead|closed/)
  await using after = wasmExecutor({ directory: state(), warm: 0 })
  expect((await exitOf(after, program('hello')))?.failure?.code).toBe('node-fault')
})
