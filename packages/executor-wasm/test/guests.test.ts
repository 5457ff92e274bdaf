import { createHash } from 'node:crypto'
import { mkdir, mkdtemp, readdir, readFile, rm, symlink, truncate, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { type Bench, type Program, type Ran, type RunOptions, withBench } from '@skrei/executor/conformance'
import { afterAll, expect, test } from 'vitest'
import { executorOn } from '../src/executor.ts'
import { processPool } from '../src/process-pool.ts'
import { moduleAt, modulePath, program, wasm } from './modules.ts'

const pool = processPool({ warm: 2, runsPerProcess: 1000 })
afterAll(() => pool[Symbol.asyncDispose]())

const withWasm = (work: (bench: Bench) => Promise<void>) => withBench(({ home }) => executorOn(pool, { directory: home, maxModuleBytes: 4 * 2 ** 20 }), work)

const ran = async (guest: Program, options: RunOptions = {}): Promise<Ran> => {
  const results: Ran[] = []
  await withWasm(async ({ run }) => void results.push(await run(guest, options)))
  const [result] = results
  if (result === undefined) throw new Error('nothing ran')
  return result
}

test.each([
  ['unreachable', 'unreachable'],
  ['divides', 'divide by zero'],
  ['reaches', 'memory access out of bounds'],
  // The stack that C keeps in memory.
  ['recurses', 'memory access out of bounds'],
])('%s is a trap, and its failure says which', async (name, detail) => {
  const { exit } = await ran(program(name))
  expect(exit.failure).toEqual({ code: 'trap', detail })
  expect(exit.exit).toBeUndefined()
})

test('endless recursion is a trap', async () => {
  expect((await ran(wasm('recurses'))).exit.failure).toEqual({ code: 'trap', detail: 'stack overflow' })
})

test('the memory of the task bounds the memory of the guest, and growing beyond it is refused', async () => {
  const memory = 8 * 2 ** 20
  const { exit } = await ran(wasm('grows'), { resources: { memory } })
  expect(exit.exit).toBe(memory / 65_536)
  expect(exit.usage.memoryPeak).toBe(memory)
  expect((await ran(wasm('imported-memory'), { resources: { memory } })).exit.exit).toBe(memory / 65_536)
  const { stdout } = await ran(program('allocates'), { resources: { memory: 32 * 2 ** 20 } })
  expect(Number(stdout)).toBeGreaterThan(16)
  expect(Number(stdout)).toBeLessThan(32)
})

test("a guest that fills the engine's own heap fails with out-of-memory, and the next one runs", async () => {
  // (type $a (array (mut i64))) (type $n (struct (field (mut (ref null $n))) (field (mut (ref null $a))))) (global $list (mut (ref null $n)) (ref.null $n))
  // _start: (loop (global.set $list (struct.new $n (global.get $list) (array.new_default $a (i32.const 100000)))) (br 0))
  const module = Buffer.from(
    '0061736d01000000' +
      '010f035e7e015f02630101630001600000' +
      '03020102' +
      '0503010001' +
      '060701630101d0010b' +
      '071302065f73746172740000066d656d6f72790200' +
      '0a170115000340230041a08d06fb0700fb000124000c000b0b',
    'hex',
  )
  await withWasm(async ({ run, inputs }) => {
    const path = join(inputs, 'heap.wasm')
    await writeFile(path, module)
    expect((await run(moduleAt(path))).exit.failure?.code).toBe('out-of-memory')
    expect((await run(program('hello'))).exit.exit).toBe(0)
  })
})

test('a guest that sleeps for ever takes no longer than its timeout', async () => {
  const { exit } = await ran(program('sleeps'), { timeout: 500 })
  expect(exit.failure?.code).toBe('timeout')
})

test.each([
  ['imports', /env\.print, wasi_snapshot_preview1\.fd_teleport, wasi_unstable\.fd_write/],
  ['no-memory', /no memory/],
  ['reactor', /no function _start.*reactor/],
])('%s is no program that can run, and the failure says why', async (name, detail) => {
  const { exit } = await ran(wasm(name))
  expect(exit.failure?.code).toBe('module-invalid')
  expect(exit.failure?.detail).toMatch(detail)
})

test('a module larger than the node runs is refused', async () => {
  await withWasm(async ({ run, inputs }) => {
    const path = join(inputs, 'large.wasm')
    await writeFile(path, '')
    await truncate(path, 5 * 2 ** 20)
    expect((await run(moduleAt(path))).exit.failure).toMatchObject({ code: 'module-invalid', detail: expect.stringContaining('more than') })
  })
})

test('calls declared with types that they have not end nothing but the guest', async () => {
  expect((await ran(wasm('mistyped'))).exit.failure?.code).toBe('trap')
  expect((await ran(program('hello'))).exit.exit).toBe(0)
})

test('a call before the guest has memory answers fault', async () => {
  expect((await ran(wasm('start-section'))).exit.exit).toBe(21)
})

test('what ended the guest has ended it, even if the guest catches', async () => {
  expect((await ran(wasm('catches'))).exit.exit).toBe(5)
})

test.each(['unlinks', 'sparse'])('%s does not get around the disk of the task', async (name) => {
  const { exit } = await ran(program(name), { resources: { disk: 2 ** 20 } })
  expect(exit.failure?.code).toBe('output-too-large')
  expect(exit.usage.outputBytes).toBeLessThanOrEqual(2 ** 20)
})

test('directories count as files do', async () => {
  expect((await ran(program('writes'), { limits: { files: 3 } })).exit.failure?.code).toBe('output-too-large')
  expect((await ran(program('writes'), { limits: { files: 4 } })).exit.failure).toBeUndefined()
})

test('links among the inputs are not there', async () => {
  await withWasm(async ({ run, inputs }) => {
    await mkdir(join(inputs, 'sub'))
    await writeFile(join(inputs, 'plain.txt'), 'x')
    await symlink('/etc/passwd', join(inputs, 'absolute'))
    await symlink('..', join(inputs, 'sub', 'above'))
    await symlink('plain.txt', join(inputs, 'inside'))
    expect((await run(program('lists', '/inputs'))).stdout).toBe('plain.txt\nsub/\n')
    expect((await run(program('lists', '/'))).stdout).toBe('inputs/\noutputs/\n')
    const paths = [
      '/inputs/absolute',
      '/inputs/inside',
      '/inputs/sub/above/plain.txt',
      '/inputs/../../etc/passwd',
      '/etc/passwd',
      '../../../etc/passwd',
      '/proc/self/environ',
      '/inputs/plain.txt/',
    ]
    const { stdout } = await run(program('reaches-out', ...paths, '/inputs/plain.txt', '/inputs/sub/../plain.txt'))
    const lines = stdout.trimEnd().split('\n')
    expect(lines.slice(0, paths.length).filter((line) => line.endsWith('opened'))).toEqual([])
    expect(lines.slice(paths.length)).toEqual(['/inputs/plain.txt opened', '/inputs/sub/../plain.txt opened'])
  })
})

test('a link that lies where an output should go is neither followed nor replaced', async () => {
  const elsewhere = await mkdtemp(join(tmpdir(), 'skrei-elsewhere-'))
  await withWasm(async ({ run, outputs }) => {
    await symlink(join(elsewhere, 'new.txt'), join(outputs, 'greeting.txt'))
    await symlink(elsewhere, join(outputs, 'a'))
    expect((await run(program('writes'))).exit.exit).toBe(1)
    expect(await readdir(elsewhere)).toEqual([])
  })
  await rm(elsewhere, { recursive: true })
})

test('no call, whatever it is given, reaches the host or breaks it', async () => {
  await withWasm(async ({ run, inputs, outputs }) => {
    await writeFile(join(inputs, 'letter.txt'), 'x')
    const { stdout, exit } = await run(wasm('hostile'), { limits: { files: 10_000 } })
    expect(exit.exit).toBe(0)
    await expect(stdout).toMatchFileSnapshot('./modules/hostile.txt')
    expect((await readdir(outputs)).sort()).toEqual(['deeper', 'dir', 'file'])
    await rm(join(outputs, 'deeper'), { recursive: true })
  })
})

test('a Go program runs', async () => {
  await withWasm(async ({ run, inputs, outputs }) => {
    await writeFile(join(inputs, 'b.txt'), 'second\n')
    await writeFile(join(inputs, 'a.txt'), 'first\n')
    const { stdout, stderr, exit } = await run(wasm('go', { args: ['told'], stdin: { path: '/inputs/a.txt' } }), { env: { GREETING: 'hallo' } })
    expect([stderr, stdout, exit.exit]).toEqual(['slept\n', 'told hallo first\n\n', 3])
    expect(await readFile(join(outputs, 'all.txt'), 'utf8')).toBe('a.txt: first\nb.txt: second\n')
  })
})

test('a Rust program runs, and its panic is an exit code and a message', async () => {
  await withWasm(async ({ run, inputs, outputs }) => {
    await writeFile(join(inputs, 'b.txt'), 'second\n')
    await writeFile(join(inputs, 'a.txt'), 'first\n')
    const { stdout, exit } = await run(wasm('rust', { args: ['told'], stdin: 'from here' }))
    expect([stdout, exit.exit]).toEqual(['told from here 3600\n', 0])
    expect(await readFile(join(outputs, 'a', 'c', 'sizes.txt'), 'utf8')).toBe('[("a.txt", 6), ("b.txt", 7)]\n')
    await rm(join(outputs, 'a'), { recursive: true })
    const panic = await run(wasm('rust', { args: ['told', 'panic'] }))
    expect(panic.stderr).toContain('as told')
    expect(panic.exit.failure?.code).toMatch(/trap|exit-nonzero/)
  })
})

test('standard input that is no file among the inputs is an invalid task', async () => {
  for (const path of ['/inputs/none.txt', '/inputs', '/elsewhere']) {
    expect((await ran(wasm('programs', { args: ['stdin'], stdin: { path } }))).exit.failure).toEqual({
      code: 'task-invalid',
      detail: `stdin names ${path}, which is no file among the inputs`,
    })
  }
})

test('a NUL character in an argument or a variable is an invalid task', async () => {
  expect((await ran(program('arguments', 'a\0b'))).exit.failure?.code).toBe('task-invalid')
  expect((await ran(program('environment'), { env: { GREETING: 'a\0b' } })).exit.failure?.code).toBe('task-invalid')
})

test('the exit says what was used and what ran', async () => {
  const { exit } = await ran(program('writes'))
  expect(exit.usage).toEqual({ wallMs: expect.any(Number), cpuMs: expect.any(Number), memoryPeak: expect.any(Number), outputBytes: 11 })
  const sha256 = createHash('sha256')
    .update(await readFile(modulePath('programs')))
    .digest('hex')
  expect(exit.facts).toEqual({ engine: expect.stringContaining('v8/'), moduleSha256: sha256 })
})

test('a file can be a mount, and mounts can lie in each other', async () => {
  await withWasm(async ({ executor, request, inputs, outputs }) => {
    await writeFile(join(inputs, 'letter.txt'), 'dear reader')
    await mkdir(join(inputs, 'more'))
    const told: string[] = []
    const base = request(program('lists', '/data'))
    const mounts = [
      { path: join(inputs, 'letter.txt'), at: '/data/one.txt', writable: false },
      { path: join(inputs, 'more'), at: '/data/in/deep', writable: false },
      { path: outputs, at: '/data/out', writable: true },
    ]
    for await (const event of executor.run({ ...base, mounts }, {})) if (event.type === 'output') told.push(new TextDecoder().decode(event.bytes))
    expect(told.join('')).toBe('in/\none.txt\nout/\n')
  })
})
