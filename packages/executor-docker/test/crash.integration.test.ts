import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtemp, readdir, readFile, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { setTimeout as pause } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'
import type { RunEvent, RunExit } from '@skrei/executor'
import { afterEach, beforeAll, beforeEach, expect, test } from 'vitest'
import { containerName } from '../src/container-name.ts'
import { type DockerExecutor, dockerExecutor } from '../src/index.ts'
import { type CrashSetting, requestOf } from './crash-setting.ts'
import { docker, haveImage, namespace, withEngine } from './docker-engine.ts'

/** How often the node is killed at a random moment. CI has few; SKREI_KILLS=200 is what is asked for. */
const kills = Number(process.env['SKREI_KILLS'] ?? 6)
const seed = Number(process.env['SKREI_SEED'] ?? 1)

let root = ''
let own = ''
beforeAll(haveImage)
beforeEach(async () => {
  root = await mkdtemp(join(tmpdir(), 'skrei-docker-crash-'))
  own = namespace()
})
afterEach(() => rm(root, { recursive: true }))

const setting = (script: string, changes: Partial<CrashSetting> = {}): CrashSetting => ({
  directory: join(root, 'state'),
  namespace: own,
  outputs: join(root, 'outputs'),
  ids: ['Execution/1'],
  script,
  timeout: 120_000,
  ...changes,
})

interface Node {
  readonly process: ChildProcess
  /** Resolves with the first event for which `is` holds; rejects where the node ends before. */
  told(is: (event: RunEvent & { readonly id: string }) => boolean): Promise<void>
  kill(): Promise<void>
}

const startNode = (of: CrashSetting): Node => {
  const entry = fileURLToPath(new URL('./node-that-dies.ts', import.meta.url))
  const child = spawn(process.execPath, ['--conditions=@skrei/source', '--no-warnings', entry, JSON.stringify(of)], { stdio: ['ignore', 'pipe', 'inherit'] })
  const dead = once(child, 'exit')
  const events: (RunEvent & { readonly id: string })[] = []
  let wake = (): void => undefined
  createInterface({ input: child.stdout }).on('line', (line) => {
    events.push(JSON.parse(line))
    wake()
  })
  return {
    process: child,
    told: async (is) => {
      let ended = false
      void dead.then(() => {
        ended = true
        wake()
      })
      while (!events.some(is)) {
        if (ended) throw new Error('the node ended before it told that')
        await new Promise<void>((resolve) => (wake = resolve))
      }
    },
    kill: async () => {
      child.kill('SIGKILL')
      await dead
    },
  }
}

const isOutput = (event: RunEvent): boolean => event.type === 'output'

/** Starts a node, waits until its program has written something, and kills the node. */
const crash = async (of: CrashSetting): Promise<void> => {
  const node = startNode(of)
  try {
    await node.told(isOutput)
  } finally {
    await node.kill()
  }
}

const follow = async (executor: DockerExecutor, of: CrashSetting, id: string): Promise<{ stdout: string; exit: RunExit | undefined }> => {
  let stdout = ''
  let exit: RunExit | undefined
  for await (const event of executor.run(await requestOf(of, id), {})) {
    if (event.type === 'output' && event.stream === 'stdout') {
      expect(event.offset).toBe(stdout.length)
      stdout += Buffer.from(event.bytes).toString('latin1')
    }
    if (event.type === 'exit') exit = event
  }
  return { stdout, exit }
}

const containers = async (...filters: readonly string[]): Promise<readonly string[]> => {
  const found = await docker('ps', '--all', '--no-trunc', '--quiet', ...[`name=${own}`, ...filters].flatMap((filter) => ['--filter', filter]))
  return found.split('\n').filter((line) => line !== '')
}
const networksLeft = (): Promise<string> => docker('network', 'ls', '--quiet', '--filter', `name=${own}`)
const ended = (container: string): Promise<string> => docker('wait', container)

withEngine('a node that is killed', () => {
  test('takes its running container up again: no second one, its output without a gap, its own exit', async () => {
    // What is written while the node is dead: bytes that are no text, a line longer than the engine's log takes in one, and no newline at the end.
    const of = setting(
      'echo before; echo x >> /outputs/starts; while [ ! -e /outputs/go ]; do sleep 0.05; done; printf "\\377\\000\\n"; head -c 40000 /dev/zero | tr "\\0" a; echo; printf end; exit 3',
    )
    await crash(of)
    const [container = ''] = await containers()
    await docker('exec', container, 'touch', '/outputs/go')
    await ended(container)
    await using executor = dockerExecutor({ directory: of.directory, namespace: own })
    const left: string[] = []
    for await (const id of executor.leftovers()) left.push(id)
    expect(left).toEqual(['Execution/1'])
    const { stdout, exit } = await follow(executor, of, 'Execution/1')
    expect(stdout).toBe(`before\n\xff\0\n${'a'.repeat(40_000)}\nend`)
    expect(exit).toMatchObject({ exit: 3, failure: { code: 'exit-nonzero' } })
    expect(await readFile(join(of.outputs, encodeURIComponent('Execution/1'), 'starts'), 'utf8')).toBe('x\n')
    // It repeats what it said.
    expect(await follow(executor, of, 'Execution/1')).toEqual({ stdout, exit })
    await executor.remove('Execution/1')
    expect(await containers()).toEqual([])
  })

  test('goes on with one that still runs, live', async () => {
    const of = setting('echo before; while [ ! -e /outputs/go ]; do sleep 0.05; done; echo after')
    await crash(of)
    const [container = ''] = await containers()
    await using executor = dockerExecutor({ directory: of.directory, namespace: own })
    const following = follow(executor, of, 'Execution/1')
    await docker('exec', container, 'touch', '/outputs/go')
    expect(await following).toMatchObject({ stdout: 'before\nafter\n', exit: { exit: 0 } })
    await executor.remove('Execution/1')
  })

  test('leaves a time limit that holds without it', async () => {
    const of = setting('echo before; sleep 100000', { timeout: 3000 })
    await crash(of)
    const [container = ''] = await containers()
    expect(await ended(container)).toBe('137')
    const [startedAt = '', endedAt = ''] = (await docker('inspect', '--format', '{{.State.StartedAt}} {{.State.FinishedAt}}', container)).split(' ')
    expect(Date.parse(endedAt) - Date.parse(startedAt)).toBeGreaterThanOrEqual(3000)
    await using executor = dockerExecutor({ directory: of.directory, namespace: own })
    expect((await follow(executor, of, 'Execution/1')).exit?.failure?.code).toBe('timeout')
    await executor.remove('Execution/1')
  })

  test('and has the rest of its time afterwards', async () => {
    const of = setting('echo before; sleep 100000', { timeout: 4000 })
    await crash(of)
    await using executor = dockerExecutor({ directory: of.directory, namespace: own })
    const { stdout, exit } = await follow(executor, of, 'Execution/1')
    expect([stdout, exit?.failure?.code]).toEqual(['before\n', 'timeout'])
    expect(exit?.usage.wallMs).toBeLessThan(4000 + 3000)
    await executor.remove('Execution/1')
  })

  test.each(['stop', 'remove'] as const)('what it left running is ended by %s', async (end) => {
    const of = setting('echo before; sleep 100000')
    await crash(of)
    await using executor = dockerExecutor({ directory: of.directory, namespace: own })
    await executor[end]('Execution/1')
    expect(await containers()).toEqual([])
    if (end === 'stop') expect((await follow(executor, of, 'Execution/1')).exit?.failure?.code).toBe('cancelled')
    await executor.remove('Execution/1')
  })

  test('whose directory was lost is found by its containers', async () => {
    const of = setting('echo before; sleep 100000')
    await crash(of)
    await rm(of.directory, { recursive: true })
    await using executor = dockerExecutor({ directory: of.directory, namespace: own })
    const left: string[] = []
    for await (const id of executor.leftovers()) left.push(id)
    expect(left).toEqual(['Execution/1'])
    await executor.remove('Execution/1')
    expect(await containers()).toEqual([])
  })

  test('and whose execution another node was given: the engine refuses a second container, and neither touches the other’s', async () => {
    const of = setting('echo before; sleep 100000')
    await crash(of)
    const before = await containers()
    {
      await using other = dockerExecutor({ directory: join(root, 'other'), namespace: own })
      await expect(follow(other, of, 'Execution/1')).rejects.toThrow(/another node/)
      await other.remove('Execution/1')
    }
    expect(await containers('status=running')).toEqual(before)
    await using executor = dockerExecutor({ directory: of.directory, namespace: own })
    await executor.remove('Execution/1')
  })

  test('whose container somebody removed meanwhile does not run it again', async () => {
    const of = setting('echo before; sleep 100000')
    await crash(of)
    await docker('rm', '--force', containerName(own, 'Execution/1'))
    await using executor = dockerExecutor({ directory: of.directory, namespace: own })
    expect((await follow(executor, of, 'Execution/1')).exit?.failure?.code).toBe('node-restarted')
    await executor.remove('Execution/1')
  })

  test('that is merely disposed of lets its containers run on', async () => {
    const of = setting('echo before; while [ ! -e /outputs/go ]; do sleep 0.05; done; echo after')
    const first = dockerExecutor({ directory: of.directory, namespace: own })
    for await (const event of first.run(await requestOf(of, 'Execution/1'), {})) if (event.type === 'output') break
    await first[Symbol.asyncDispose]()
    const [container = ''] = await containers('status=running')
    await using executor = dockerExecutor({ directory: of.directory, namespace: own })
    const following = follow(executor, of, 'Execution/1')
    await docker('exec', container, 'touch', '/outputs/go')
    expect(await following).toMatchObject({ stdout: 'before\nafter\n', exit: { exit: 0 } })
    await executor.remove('Execution/1')
  })

  test(
    `at ${kills} random moments (seed ${seed}) loses nothing, mixes nothing up and leaves nothing`,
    async () => {
      const chance = random(seed)
      const networked = process.getuid?.() === 0 ? 'net' : undefined
      const of = (ids: readonly string[]) =>
        setting('echo x >> /outputs/starts; for i in 1 2 3 4 5; do echo line $i; sleep 0.1; done; exit 7', { ids, ...(networked && { networked }) })
      const volumes = await docker('volume', 'ls', '--quiet')
      const ids: string[] = []
      for (let round = 0; round < kills; round++) {
        ids.push(round % 3 === 2 ? `net-${round}` : `run-${round}`)
        // The newest alone may not have begun; those before are taken up again, or repeat what they came to.
        const node = startNode(of(ids.slice(-3)))
        await pause(300 + chance() * 1700)
        await node.kill()
      }
      await using executor = dockerExecutor({ directory: of([]).directory, namespace: own, network: { http: true } })
      for (const id of ids) {
        const { stdout, exit } = await follow(executor, of([]), id)
        expect([id, stdout, exit?.exit]).toEqual([id, 'line 1\nline 2\nline 3\nline 4\nline 5\n', 7])
        expect(await readFile(join(of([]).outputs, id, 'starts'), 'utf8')).toBe('x\n')
      }
      for await (const id of executor.leftovers()) await executor.remove(id)
      expect(await containers()).toEqual([])
      expect(await networksLeft()).toBe('')
      expect(await docker('volume', 'ls', '--quiet')).toBe(volumes)
      expect(await readdir(of([]).directory)).toEqual([])
    },
    60_000 + kills * 10_000,
  )
})

/** Numbers from 0 to 1, the same for the same seed: https://github.com/bryc/code/blob/master/jshash/PRNGs.md#mulberry32 */
const random = (start: number): (() => number) => {
  let state = start
  return () => {
    state = (state + 0x6d2b79f5) | 0
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state)
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32
  }
}
