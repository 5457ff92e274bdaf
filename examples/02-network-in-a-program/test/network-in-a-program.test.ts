import { execFile } from 'node:child_process'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { expect, test } from 'vitest'

test('the nodes share the job, and its result is whole', async () => {
  const example = join(import.meta.dirname, '..')
  const { stdout, stderr } = await promisify(execFile)(process.execPath, ['--conditions=@skrei/source', 'src/main.ts'], { cwd: example })
  expect(stderr).toBe('')
  const [head, ...lines] = stdout.trimEnd().split('\n')
  expect(head).toBe('greetings: completed, 9 of 9 shards')
  expect(lines.at(-1)).toBe('shard 0 said: hello')
  const counts = lines.slice(0, -1).map((line) => Number(/^(?:cod|haddock|saithe) +ran (\d+) shards$/.exec(line)?.[1]))
  expect(counts).toHaveLength(3)
  expect(counts.reduce((sum, count) => sum + count, 0)).toBe(9)
  // A node has room for two at a time.
  expect(counts.filter((count) => count > 0).length).toBeGreaterThan(1)
})
