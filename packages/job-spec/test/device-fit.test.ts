import { expect, test } from 'vitest'
import { checkSpec, type Device, deviceFits, taskSchema } from '../src/index.ts'

const device: Device = { id: 'a', kind: 'gpu', vendor: 'amd', model: 'Navi 21 [Radeon RX 6800/6800 XT / 6900 XT]', memory: 16e9 }

test.each([
  [{ count: 1 }, true],
  [{ count: 1, vendor: 'amd', memory: 16e9 }, true],
  [{ count: 1, vendor: 'nvidia' }, false],
  [{ count: 1, memory: 16e9 + 1 }, false],
  [{ count: 1, model: '*6900*' }, true],
  [{ count: 1, model: '*6800/6800*' }, true],
  [{ count: 1, model: '*A100*' }, false],
  // A pattern that is none throws nothing: tasks come from strangers.
  [{ count: 1, model: '[' }, false],
  [{ count: 1, model: '{a' }, false],
])('a device fits %o: %o', (gpu, fits) => {
  expect(deviceFits(gpu)(device)).toBe(fits)
})

test('what is not known of a device satisfies nobody', () => {
  const unknown: Device = { id: 'a', kind: 'gpu' }
  expect(deviceFits({ count: 1 })(unknown)).toBe(true)
  for (const wanted of [{ vendor: 'amd' }, { model: '*' }, { memory: 0 }]) expect(deviceFits({ count: 1, ...wanted })(unknown)).toBe(false)
})

test('a model that is no pattern is refused, in a job and in a task', () => {
  const checked = checkSpec({ apiVersion: 'skrei/v1', engine: { type: 'noop' }, resources: { gpu: { count: 1, model: '[' } } })
  expect(checked).toMatchObject({ ok: false, problem: { code: 'bad-glob', path: ['resources', 'gpu', 'model'] } })
  const gpu = taskSchema.shape.resources.shape.gpu
  expect(gpu.safeParse({ count: 1, model: '*A100*' }).success).toBe(true)
  expect(gpu.safeParse({ count: 1, model: '[' }).success).toBe(false)
  expect(gpu.safeParse({ count: 1, model: 'x'.repeat(257) }).success).toBe(false)
})
