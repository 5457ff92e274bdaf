import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import { runSeeds } from '../src/faults/run-seeds.ts'

const entry = new URL('./toy-worker.ts', import.meta.url)

const noted = () => {
  const notes: string[] = []
  return { notes, options: { entry, note: (text: string) => void notes.push(text), replay: (seed: number) => `run ${seed}` } }
}

test.each([1, 2, 7])('on %i threads the same seeds are broken, told in order, each with what replays it', async (workers) => {
  const { notes, options } = noted()
  const { done, broken } = await runSeeds({ ...options, seeds: 20, workers })
  expect(done).toBe(20)
  expect(broken).toEqual([
    { seed: 3, message: 'broken late' },
    { seed: 5, message: 'nobody caught this' },
    { seed: 6, message: 'broken at 6' },
    { seed: 8, message: 'its thread ended with 3' },
    { seed: 12, message: 'broken at 12' },
    { seed: 18, message: 'broken at 18' },
  ])
  expect(notes).toEqual(broken.map(({ seed, message }) => `seed ${seed}: ${message}\n  again: run ${seed}`))
})

test('a seed that does not end is broken after its time, and its thread is ended', async () => {
  const { options } = noted()
  const stuck = new URL(
    `data:text/javascript,${encodeURIComponent("import { parentPort } from 'node:worker_threads'\nparentPort.on('message', () => { for (;;); })")}`,
  )
  expect(await runSeeds({ ...options, entry: stuck, seeds: 1, workers: 1, longest: 300 })).toEqual({
    done: 1,
    broken: [{ seed: 1, message: 'it has not ended within 300 ms' }],
  })
})

test('progress says how many are done, how many broken, and how long the rest may take', async () => {
  const { notes, options } = noted()
  await runSeeds({ ...options, seeds: 4, workers: 1, noteEvery: 20 })
  expect(notes).toContainEqual(expect.stringMatching(/^2 of 4 seeds, 0 broken, about \d+ s to go$/))
})

test('when it is interrupted, what was found so far is the result', async () => {
  const { options } = noted()
  const interrupt = new AbortController()
  const note = (text: string): void => {
    if (text.startsWith('seed 6')) interrupt.abort()
  }
  const { done, broken } = await runSeeds({ ...options, note, seeds: 1_000_000, workers: 2, signal: interrupt.signal })
  expect(done).toBeLessThan(1_000_000)
  expect(broken.map(({ seed }) => seed)).toEqual(expect.arrayContaining([3, 5, 6]))
})

test('Ctrl-C ends the suite faults with its figures so far, and leaves no process', async () => {
  const bench = spawn(process.execPath, ['--conditions=@skrei/source', 'src/main.ts', 'faults', '--full', '--json'], { cwd: join(import.meta.dirname, '..') })
  let [stdout, stderr] = ['', '']
  const underWay = new Promise<void>((resolve) =>
    bench.stderr.setEncoding('utf8').on('data', (text: string) => {
      stderr += text
      if (stderr.includes('10000 seeds on')) resolve()
    }),
  )
  bench.stdout.setEncoding('utf8').on('data', (text: string) => {
    stdout += text
  })
  await underWay
  bench.kill('SIGINT')
  // Both ends of the pipes are closed only once every process that holds them has ended.
  const [code] = (await once(bench, 'close')) as [number | null]
  expect(code).toBe(130)
  const { suite, figures } = JSON.parse(stdout.trimEnd().split('\n').at(-1) ?? '') as { suite: string; figures: Record<string, number> }
  expect(suite).toBe('faults')
  expect(figures['seeds']).toBeLessThan(10_000)
  expect(figures).toMatchObject({ lawsBroken: 0, mutants: 0 })
})
