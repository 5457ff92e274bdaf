import { execFile } from 'node:child_process'
import { mkdtemp, readdir, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { promisify, stripVTControlCharacters } from 'node:util'
import { expect, test } from 'vitest'

test('the shards of a process that is killed run elsewhere, and nothing is left of the network', async () => {
  const example = join(import.meta.dirname, '..')
  const temporary = await mkdtemp(join(tmpdir(), 'skrei-example-test-'))
  try {
    const environment = { ...process.env, SKREI_HOME: join(temporary, 'home'), TMPDIR: temporary, NO_COLOR: '1' }
    const { stdout, stderr } = await promisify(execFile)(process.execPath, ['--conditions=@skrei/source', 'src/main.ts'], { cwd: example, env: environment })
    const output = stripVTControlCharacters(stdout)
    expect(stderr).toBe('')
    const [, pid, name, id] = /kill -9 (\d+), which is (node-[1-4]) \(…(\w{8})\)/.exec(output) ?? []
    expect(output).toContain(`${name}  http://127.0.0.1:`)
    expect(output).toMatch(/^completed {2}sums, 24 shards, [\d.]+s$/m)
    // In its place in the timeline: the lost execution on the node that died, and below it the one that completed.
    expect(output).toMatch(new RegExp(`\\n {2}shard \\d+ +completed .*…${id} {2}lost {2}node-lost {2}.*\\n(?: {20,}.*\\n)* {20,}.*… ?\\w{8} {2}completed\\n`))
    expect(output).toMatch(/✓ 24 of 24 shards completed; [1-9]\d* of them a second time, elsewhere\n$/)
    expect(() => process.kill(Number(pid), 0)).toThrow(expect.objectContaining({ code: 'ESRCH' }))
    expect(await readdir(temporary)).toEqual([])
  } finally {
    await rm(temporary, { recursive: true })
  }
}, 240_000)
