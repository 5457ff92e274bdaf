import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { jobJsonSchema } from '@skrei/job-spec'
import { expect, test } from 'vitest'
import { place } from './command-line.ts'

test('the example of spec init is valid, runs, and is never overwritten', async () => {
  using here = place()
  const made = await here.skrei('spec', 'init')
  expect(made.code).toBe(0)
  const text = readFileSync(join(here.jobs, 'job.yaml'), 'utf8')
  const ended = await here.skrei('run', 'job.yaml', '--output', 'result')
  expect(ended.code).toBe(0)
  expect(readFileSync(join(here.jobs, 'result/shards/2/outputs/results/greeting.txt'), 'utf8')).toBe('hello\n')
  const again = await here.skrei('spec', 'init')
  expect(again.code).toBe(2)
  expect(again.stderr).toContain('file-exists')
  expect(readFileSync(join(here.jobs, 'job.yaml'), 'utf8')).toBe(text)
})

test('validate tells the spec CID, and every problem of every file', async () => {
  using here = place()
  here.write('good.yaml', 'apiVersion: skrei/v1\nengine: { type: noop }\n')
  here.write('good.json', '{"engine":{"type":"noop"},"apiVersion":"skrei/v1"}')
  here.write('bad.yaml', 'apiVersion: skrei/v2\nengine: { type: noop }\n')
  const good = await here.skrei('validate', 'good.yaml', 'good.json')
  expect(good.code).toBe(0)
  const cids = good.stdout.match(/bafyrei\w+/g) ?? []
  expect(cids).toHaveLength(2)
  expect(cids[0]).toBe(cids[1])
  const bad = await here.skrei('validate', 'good.yaml', 'bad.yaml', 'missing.yaml', '--json')
  expect(bad.code).toBe(2)
  const events = bad.stdout
    .trimEnd()
    .split('\n')
    .map((line) => JSON.parse(line) as unknown)
  expect(events).toMatchObject([
    { type: 'file', file: 'good.yaml', valid: true, specCid: cids[0] },
    { type: 'file', file: 'bad.yaml', valid: false, problems: [{ code: 'bad-value', line: 1, column: 13, path: 'apiVersion' }] },
    { type: 'file', file: 'missing.yaml', valid: false, problems: [{ code: 'file-not-found' }] },
    { type: 'result', jobId: null, state: null, error: { code: 'bad-value', problems: [{}, { code: 'file-not-found' }] } },
  ])
})

test('spec schema prints the schema', async () => {
  using here = place()
  expect(JSON.parse((await here.skrei('spec', 'schema')).stdout)).toEqual(jobJsonSchema())
})

test('help and version need no home and load no command', async () => {
  using here = place()
  const help = await here.skrei('--help')
  expect(help.code).toBe(0)
  for (const command of ['run', 'validate', 'get', 'spec']) expect(help.stdout).toContain(`\n  ${command} `)
  expect((await here.skrei('--version')).stdout).toMatch(/^\d+\.\d+\.\d+\n$/)
  expect((await here.skrei()).code).toBe(2)
})
