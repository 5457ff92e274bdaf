import { execFile } from 'node:child_process'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { expect, test } from 'vitest'

test('a program that is a requester finds its job again after a restart, and its result is whole', async () => {
  const example = join(import.meta.dirname, '..')
  const { stdout, stderr } = await promisify(execFile)(process.execPath, ['--conditions=@skrei/source', 'src/main.ts'], { cwd: example })
  expect(stderr).toBe('')
  const lines = stdout.trimEnd().split('\n')
  expect(lines[0]).toBe('submitted, one shard is done: the requester stops')
  expect(lines[1]).toBe('the requester starts again and finds its job running')
  expect(lines[2]).toBe('reports: completed, 8 of 8 shards')
  const counts = lines.slice(3, -1).map((line) => Number(/^(?:cod|haddock) +ran (\d+) shards$/.exec(line)?.[1]))
  // A node has room for two at a time.
  expect(counts.every((count) => count > 0)).toBe(true)
  expect(counts.reduce((sum, count) => sum + count, 0)).toBe(8)
  expect(lines.at(-1)).toBe('shard 0 said: report written')
})
