import fc from 'fast-check'
import { expect, test } from 'vitest'
import { quantile, spread } from '../src/spread.ts'

const values = fc.array(fc.double({ noNaN: true, min: -1e9, max: 1e9 }), { minLength: 1 })

test('the median lies between as many smaller as larger values', () => {
  expect(spread([3, 1, 2])).toEqual({ median: 2, min: 1, max: 3 })
  expect(spread([4, 1, 2, 3]).median).toBe(2.5)
  expect(spread([7])).toEqual({ median: 7, min: 7, max: 7 })
})

test('a quantile is one of the values, and as many as its share do not exceed it', () => {
  fc.assert(
    fc.property(values, fc.double({ noNaN: true, min: 0, max: 1 }), (all, share) => {
      const found = quantile(all, share)
      expect(all).toContain(found)
      expect(all.filter((value) => value <= found).length).toBeGreaterThanOrEqual(share * all.length - 1e-9)
    }),
  )
  expect(quantile([1, 2, 3, 4], 0.5)).toBe(2)
  expect(quantile([1, 2, 3, 4], 0.99)).toBe(4)
})
