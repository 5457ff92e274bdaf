import type { Task } from '@skrei/job-spec'
import { memoryStateStore } from '@skrei/state-store/memory'
import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { allocate, freeOf, limitsOf } from '../src/compute/capacity.ts'
import { moveLedger, readLedger } from '../src/kernel/ledger.ts'
import type { Holding } from '../src/kernel/machine.ts'

const capacity = limitsOf({ cpu: 4000, memory: 8000, disk: 10_000 })
const devices = [
  { id: 'a', kind: 'gpu', vendor: 'nvidia', model: 'NVIDIA A100-SXM4-40GB', memory: 40e9 },
  { id: 'b', kind: 'gpu', vendor: 'nvidia', model: 'NVIDIA A100-SXM4-80GB', memory: 80e9 },
  { id: 'c', kind: 'gpu', vendor: 'amd', model: 'MI300X', memory: 192e9 },
  { id: 'd', kind: 'gpu' },
] as const

const task = (resources: Partial<Task['resources']>): Task => ({
  specCid: 'b',
  engine: { type: 'noop' },
  env: {},
  outputs: [],
  resources: { cpu: 1000, memory: 1000, disk: 1000, gpu: { count: 0 }, ...resources },
  limits: { stdout: 1, stderr: 1, files: 1 },
  network: { mode: 'none' },
  timeout: 1000,
})
const empty = { cpu: 0, memory: 0, disk: 0, devices: {} }

describe('allocate', () => {
  test('what is more than the node has can never run, what is more than is free now waits, both with numbers', () => {
    expect(allocate(task({ memory: 9000 }), capacity, [], empty)).toEqual({
      refusal: expect.objectContaining({ code: 'exceeds-node', resource: 'memory', wanted: 9000, available: 8000 }),
    })
    expect(allocate(task({ cpu: 3000 }), capacity, [], { ...empty, cpu: 2000 })).toEqual({
      refusal: expect.objectContaining({ code: 'busy', resource: 'cpu', wanted: 3000, available: 2000 }),
    })
  })

  test.each([
    [{ count: 1 }, ['a']],
    [{ count: 1, memory: 60e9 }, ['b']],
    [{ count: 1, vendor: 'amd' }, ['c']],
    [{ count: 2, model: '*A100*' }, ['a', 'b']],
  ])('devices are chosen by their attributes: %o', (gpu, expected) => {
    expect(allocate(task({ gpu }), capacity, devices, empty)).toEqual({ devices: expected })
  })

  test('a device that is held is not given again, and an unknown attribute satisfies nobody', () => {
    expect(allocate(task({ gpu: { count: 1, model: '*A100*' } }), capacity, devices, { ...empty, devices: { a: 'x' } })).toEqual({ devices: ['b'] })
    expect(allocate(task({ gpu: { count: 2, model: '*A100*' } }), capacity, devices, { ...empty, devices: { a: 'x' } })).toEqual({
      refusal: expect.objectContaining({ code: 'busy', wanted: 2, available: 1 }),
    })
    expect(allocate(task({ gpu: { count: 4, memory: 1 } }), capacity, devices, empty)).toEqual({
      refusal: expect.objectContaining({ code: 'exceeds-node', wanted: 4, available: 3 }),
    })
  })
})

describe('over-subscription', () => {
  const limits = limitsOf({ cpu: 4000, memory: 8000, disk: 10_000 }, { cpu: 1.5 })

  test('together tasks get more than there is, one never does', () => {
    expect(allocate(task({ cpu: 2000 }), limits, [], { ...empty, cpu: 4000 })).toEqual({ devices: [] })
    expect(allocate(task({ cpu: 2001 }), limits, [], { ...empty, cpu: 4000 })).toEqual({ refusal: expect.objectContaining({ code: 'busy', available: 2000 }) })
    expect(allocate(task({ cpu: 4001 }), limits, [], empty)).toEqual({ refusal: expect.objectContaining({ code: 'exceeds-node', available: 4000 }) })
    expect(freeOf(limits, empty)).toEqual({ cpu: 4000, memory: 8000, disk: 10_000 })
    expect(allocate(task({ memory: 1 }), limits, [], { ...empty, memory: 8000 })).toEqual({ refusal: expect.objectContaining({ code: 'busy' }) })
  })

  test.each([0.9, 0, -1, Number.NaN, Number.POSITIVE_INFINITY])('a factor of %s is refused', (cpu) => {
    expect(() => limitsOf({ cpu: 1, memory: 1, disk: 1 }, { cpu })).toThrow('overSubscription.cpu')
  })
})

test('the ledger is the sum of what is held, whatever comes and goes, and no device is held twice', () => {
  const holding = fc.option(fc.record({ cpu: fc.nat(1000), memory: fc.nat(1000), disk: fc.nat(1000), devices: fc.constant([] as readonly string[]) }), {
    nil: undefined,
  })
  fc.assert(
    fc.property(fc.array(fc.tuple(fc.integer({ min: 0, max: 5 }), holding), { maxLength: 50 }), (moves) => {
      using store = memoryStateStore()
      const held = new Map<number, Holding | undefined>()
      for (const [owner, after] of moves) {
        store.transact((transaction) => moveLedger(transaction, String(owner), held.get(owner), after))
        held.set(owner, after)
      }
      const ledger = store.read(readLedger)
      for (const resource of ['cpu', 'memory', 'disk'] as const)
        expect(ledger[resource]).toBe([...held.values()].reduce((sum, one) => sum + (one?.[resource] ?? 0), 0))
    }),
  )
  using store = memoryStateStore()
  const gpu = (...ids: readonly string[]): Holding => ({ cpu: 0, memory: 0, disk: 0, devices: ids })
  store.transact((transaction) => moveLedger(transaction, 'x', undefined, gpu('a')))
  expect(() => store.transact((transaction) => moveLedger(transaction, 'y', undefined, gpu('b', 'a')))).toThrow('device a is held by x')
  expect(store.read(readLedger).devices).toEqual({ a: 'x' })
})
