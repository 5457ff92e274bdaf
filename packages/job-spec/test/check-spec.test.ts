import fc from 'fast-check'
import { expect, test } from 'vitest'
import { checkSpec, type JobSpec, readJob, specCid } from '../src/index.ts'

const base: JobSpec = {
  apiVersion: 'skrei/v1',
  engine: { type: 'noop', duration: 1000 },
  outputs: [{ name: 'out', path: '/out' }],
  publisher: [{ type: 'ipfs' }],
  resources: { cpu: 1500, memory: 2 ** 30, gpu: { count: 1, memory: 2 ** 20 } },
  timeouts: { queue: 90_000 },
}

test('a spec that a file could say is the same after the check, under the same CID', () => {
  const read = readJob('{"apiVersion": "skrei/v1", "engine": {"type": "docker", "image": "a"}, "resources": {"memory": "1.5Gi"}}', { file: 'a.json' })
  for (const spec of [base, ...(read.ok ? [read.spec] : [])]) {
    const checked = checkSpec(spec)
    expect(checked).toEqual({ ok: true, spec })
    expect(checked.ok && specCid(checked.spec)).toBe(specCid(spec))
  }
  expect(read.ok).toBe(true)
})

const recursive: Record<string, unknown> = { type: 'acme.dev/toy' }
recursive['self'] = recursive

test.each<[string, unknown, string]>([
  ['sharding.count', { sharding: { count: 5e7 } }, 'at most 1000000'],
  ['sharding.count', { sharding: { count: -1 } }, 'more than 0'],
  ['publisher', { publisher: { type: 'ipfs' } }, 'expected a list'],
  ['resources.cpu', { resources: { cpu: Number.NaN } }, 'NaN'],
  ['resources.memory', { resources: { memory: '1Gi' } }, 'expected a number'],
  ['timeouts.queue', { timeouts: { queue: new Date(0) } }, 'expected a number'],
  ['name', { name: undefined }, 'leave it out'],
  ['nam', { nam: 'x' }, 'did you mean `name`'],
  ['retry.attempts', { retry: { attempts: 0 } }, 'more than 0'],
  ['engine', { engine: undefined }, 'undefined'],
  ['engine.at', { engine: { type: 'acme.dev/toy', at: new Date(0) } }, 'plain JSON'],
  ['engine.self', { engine: recursive }, 'levels'],
])('what no file could say is refused by its path: %s', (path, change, message) => {
  const checked = checkSpec({ ...base, ...(change as object) })
  expect(checked).toMatchObject({ ok: false, problem: { message: expect.stringContaining(message) } })
  expect(checked.ok ? '' : checked.problem.path.join('.')).toMatch(new RegExp(`^${path}`))
})

test('anything at all is answered, never thrown at', () => {
  fc.assert(
    fc.property(fc.anything({ withBigInt: true, withDate: true, withNullPrototype: true, withMap: true }), fc.string(), (value, key) => {
      expect(checkSpec(value).ok).toBe(false)
      expect(typeof checkSpec({ ...base, [key]: value, engine: value }).ok).toBe('boolean')
    }),
    { numRuns: 200 },
  )
})
