import { execFile } from 'node:child_process'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { expect, test } from 'vitest'

const run = async (...args: readonly string[]) =>
  (await promisify(execFile)(process.execPath, ['--conditions=@skrei/source', 'src/main.ts', ...args], { cwd: join(import.meta.dirname, '..') })).stdout

test('the job gets through the fault, and the timeline shows how', async () => {
  const lines = (await run('1000', '1')).trimEnd().split('\n')
  expect(lines[0]).toMatch(/^1000 nodes, seed 1; \d+ of them are known/)
  const fault = lines.findIndex((line) => line.includes('***'))
  const lost = Number(/with (\d+) executions/.exec(lines[fault] ?? '')?.[1])
  expect(lost).toBeGreaterThan(0)
  const told = lines.slice(fault).reduce((sum, line) => sum + Number(/(\d+) lost with their node/.exec(line)?.[1] ?? 0), 0)
  expect(told).toBe(lost)
  expect(lines.at(-1)).toMatch(/^completed: 200 of 200 shards, \d+ executions/)
  expect(Number(/, (\d+) executions/.exec(lines.at(-1) ?? '')?.[1])).toBeGreaterThanOrEqual(200 + lost)
})

test('the same seed prints the same timeline, another one does not', async () => {
  const [once, again, other] = await Promise.all([run('60', '5'), run('60', '5'), run('60', '6')])
  expect(again).toBe(once)
  expect(other).not.toBe(once)
})
