import { execFile, execFileSync } from 'node:child_process'
import { join } from 'node:path'
import { promisify, stripVTControlCharacters } from 'node:util'
import { expect, test } from 'vitest'

const example = join(import.meta.dirname, '..')

const hasImage = (): boolean => {
  try {
    execFileSync('docker', ['image', 'inspect', 'busybox'], { stdio: 'ignore' })
    return true
  } catch {
    return false
  }
}
// In CI it is there, or this fails.
const missing = !hasImage()
const onEngine = missing && process.env['CI'] !== 'true' ? test.skip : test
const note = missing ? ' (skipped: no Docker engine answers, or it has no image busybox; run: sudo bash scripts/ci-machine)' : ''

onEngine(`the example runs whole: usage is drawn, and the answer is the right one${note}`, async () => {
  const { stdout, stderr } = await promisify(execFile)(process.execPath, ['--conditions=@skrei/source', 'src/main.ts'], {
    cwd: example,
    env: { ...process.env, NO_COLOR: '1' },
  })
  const output = stripVTControlCharacters(stdout)
  expect(stderr).toBe('')
  expect(output).toContain('busybox, 5366 routes between airports; a quarter of a core, 64 MiB, no network')
  expect(output).toContain('│ 91810 connections')
  expect(output).toMatch(/ {2}CPU, up to [1-9]\d* % of a core\n( {2}│[ ▁▂▃▄▅▆▇█]{60}\n){4} {2}└─{60} \d+\.\d s\n/)
  expect(output).toMatch(/ {2}Memory, up to [1-9]\d*\.\d MiB\n( {2}│[ ▁▂▃▄▅▆▇█]{60}\n){3} {2}│[ ▁▂▃▄▅▆▇█]{59}[▁▂▃▄▅▆▇█]\n/)
  expect(output).toMatch(/ran for \d+ ms, 918100 bytes written; up to the last of [1-9]\d* samples \d+ ms of CPU time, at most \d+\.\d MiB\n/)
  expect(output).toMatch(/ {2}image sha256:[0-9a-f]{64}\n/)
  expect(output).toContain('ATL  303 airports, 1.446 flights')
  expect(output).toContain('✓ 91810 connections; the same as computed here without a container')
})
