import { execFile } from 'node:child_process'
import { mkdtemp, readdir, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { promisify, stripVTControlCharacters } from 'node:util'
import { afterEach, expect, test } from 'vitest'
import { delaysByHour, flightsByWeek } from '../src/flights.ts'

const example = join(import.meta.dirname, '..')
let home: string | undefined
afterEach(async () => {
  if (home !== undefined) await rm(home, { recursive: true })
})

test('the data is 20,000 flights in thirteen files', () => {
  const files = flightsByWeek()
  expect(files.size).toBe(13)
  const hours = delaysByHour(files.values())
  expect(hours.reduce((sum, { flights }) => sum + flights, 0)).toBe(20_000)
  expect(hours[19]).toEqual({ hour: 19, flights: 1244, late: 388, minutes: 17_416 })
})

test('the example runs whole, offline, and its answer is the right one', async () => {
  home = await mkdtemp(join(tmpdir(), 'skrei-example-test-'))
  const environment = { ...process.env, SKREI_HOME: home, NO_COLOR: '1' }
  const { stdout, stderr } = await promisify(execFile)(process.execPath, ['--conditions=@skrei/source', 'src/main.ts'], { cwd: example, env: environment })
  const output = stripVTControlCharacters(stdout)
  expect(output).toContain('name: flight-delays')
  expect(output).toMatch(/\$ skrei get bafy\w+ /)
  expect(output).toMatch(/ {2}06:00 +1313 +8 % /)
  expect(output).toMatch(/ {2}19:00 +1244 +31 % /)
  expect(output).toContain('✓ 20000 flights; the same as computed here without skrei')
  expect(stderr).toContain('job: running, 13 shards')
  expect(stderr).toMatch(/completed {2}flight-delays, 13 shards/)
  expect(await readdir(join(home, 'runs'))).toEqual([])
})
