import { expect, test } from 'vitest'
import { merkleRoot, merkleRootOfEqual } from '../src/index.ts'

test('the root over equal leaves is that of the list, however many there are', () => {
  const leaf = new TextEncoder().encode('the same')
  for (const count of [...Array.from({ length: 70 }, (_, index) => index + 1), 1000, 1024, 1025])
    expect(merkleRootOfEqual(leaf, count)).toEqual(merkleRoot(Array.from({ length: count }, () => leaf)))
  expect(merkleRootOfEqual(leaf, 2 ** 40 + 1)).toHaveLength(32)
  for (const count of [0, -1, 1.5, Number.NaN, 2 ** 53]) expect(() => merkleRootOfEqual(leaf, count)).toThrow(RangeError)
})
