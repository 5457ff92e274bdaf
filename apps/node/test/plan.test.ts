import { existsSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import { type JsonEvent, namesIn, place, probeJob } from './command-line.ts'

const lastOf = (stdout: string): JsonEvent => JSON.parse(stdout.trimEnd().split('\n').at(-1) ?? '') as JsonEvent

test('run --plan says what would run where, and runs nothing', async () => {
  using here = place()
  here.write('a.csv', 'x')
  here.write('b.csv', 'yz')
  here.write(
    'job.yaml',
    probeJob(
      ['hello'],
      'name: look\ninputs:\n  - { source: { type: local, path: . }, path: /in }\nsharding: { glob: "*.csv" }\nresources: { cpu: 100m, memory: 64Mi }\n',
    ),
  )
  const ended = await here.skrei('run', 'job.yaml', '--plan')
  expect(ended).toMatchObject({ code: 0, stderr: '' })
  const lines = ended.stdout.trimEnd().split('\n')
  expect(lines[0]).toBe('would run  look, 2 shards, 2 input files, 3 B')
  expect(lines[1]).toMatch(/^ {2}12D3\w+ {2}would run it {2}free: [\d.]+ CPU, .* memory, .* disk$/)
  expect(lines[2]).toMatch(/^ {2}shards 0 to 1 {2}would go to 12D3\w+$/)
  expect(lines[3]).toBe('  Nothing was run, and nothing reserved.')

  const json = await here.skrei('run', 'job.yaml', '--plan', '--json')
  expect(json.code).toBe(0)
  expect(lastOf(json.stdout)).toMatchObject({
    type: 'plan',
    name: 'look',
    outcome: 'runs',
    input: { shards: 2, files: 2, bytes: 3 },
    nodes: [{ answer: 'runs', refusals: [] }],
    known: 1,
    first: [{ index: 0, waits: false }, { index: 1 }],
    error: null,
  })
  expect(namesIn(join(here.home, 'results'))).toEqual([])
  here.clean(json)
})

test.each([
  [
    'no node has the engine',
    'engine: { type: docker, image: busybox }',
    3,
    { outcome: 'no-node', error: { code: 'no-node' }, nodes: [{ answer: 'never', refusals: [{ code: 'engine-unavailable' }] }] },
  ],
  [
    'no node is large enough',
    'engine: { type: noop }\nresources: { memory: 900Ti }',
    3,
    { outcome: 'no-node', nodes: [{ refusals: [{ code: 'exceeds-node', resource: 'memory' }] }] },
  ],
  [
    'it wants more nodes than there are',
    'engine: { type: noop }\nverification: { method: deterministic, replicas: 3 }',
    3,
    { outcome: null, error: { code: 'not-enough-nodes', line: 3 } },
  ],
  [
    'nothing matches',
    'engine: { type: noop }\ninputs: [{ source: { type: local, path: . }, path: /in }]\nsharding: { glob: "*.nope" }',
    1,
    { outcome: 'input-failed', error: { code: 'no-input' }, nodes: [] },
  ],
  [
    'an input is forbidden',
    'engine: { type: noop }\ninputs: [{ source: { type: https, url: "http://127.0.0.1:1/x" }, path: /in }]',
    1,
    { error: { code: 'source-forbidden' } },
  ],
  ['the job file is wrong', 'engine: { type: noop }\nengin: 1', 2, { outcome: null, error: { code: 'unknown-key', line: 3 } }],
  [
    'an input is not there',
    'engine: { type: noop }\ninputs: [{ source: { type: local, path: nowhere }, path: /in }]',
    2,
    { outcome: null, error: { code: 'source-not-found', line: 3 } },
  ],
] as const)('run --plan where %s', async (_what, job, code, event) => {
  using here = place()
  writeFileSync(join(here.jobs, 'job.yaml'), `apiVersion: skrei/v1\n${job}\n`)
  const ended = await here.skrei('run', 'job.yaml', '--plan', '--json')
  expect(lastOf(ended.stdout)).toMatchObject({ type: 'plan', ...event })
  expect(ended.code).toBe(code)
  here.clean(ended)
})

test('run --plan goes with no --output, since there is none', async () => {
  using here = place()
  here.write('job.yaml', 'apiVersion: skrei/v1\nengine: { type: noop }\n')
  const ended = await here.skrei('run', 'job.yaml', '--plan', '--output', 'result')
  expect(ended.code).toBe(2)
  expect(ended.stderr).toContain('usage')
  expect(existsSync(join(here.jobs, 'result'))).toBe(false)
})
