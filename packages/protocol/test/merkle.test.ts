import { createHash } from 'node:crypto'
import fc from 'fast-check'
import { expect, test } from 'vitest'
import { checkInclusion, inclusionProof, merkleRoot, merkleTree } from '../src/index.ts'

const hash = (...parts: readonly Uint8Array[]) => new Uint8Array(createHash('sha256').update(Buffer.concat(parts)).digest())
const hex = (bytes: Uint8Array) => Buffer.from(bytes).toString('hex')

/** RFC 6962 section 2.1, word for word. */
const naive = (leaves: readonly Uint8Array[]): Uint8Array => {
  const [first] = leaves
  if (first === undefined) return hash()
  if (leaves.length === 1) return hash(Uint8Array.of(0), first)
  const k = 2 ** (Math.ceil(Math.log2(leaves.length)) - 1)
  return hash(Uint8Array.of(1), naive(leaves.slice(0, k)), naive(leaves.slice(k)))
}

const leaf = fc.uint8Array({ maxLength: 8 })
const leaves = fc.array(leaf, { minLength: 1, maxLength: 70 })

test('known roots: the empty tree, one empty leaf, and the eight leaves of Certificate Transparency', () => {
  expect(hex(merkleTree().root())).toBe('e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855')
  expect(hex(merkleRoot([new Uint8Array()]))).toBe('6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d')
  const known = ['', '00', '10', '2021', '3031', '40414243', '5051525354555657', '606162636465666768696a6b6c6d6e6f']
  expect(hex(merkleRoot(known.map((text) => Buffer.from(text, 'hex'))))).toBe('5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328')
})

test('the streaming tree has the root of the recursive definition, after each leaf', () => {
  fc.assert(
    fc.property(leaves, (list) => {
      const tree = merkleTree()
      list.forEach((each, index) => {
        tree.add(each)
        expect(tree.size).toBe(index + 1)
        expect(tree.root()).toEqual(naive(list.slice(0, index + 1)))
      })
    }),
  )
})

test('every leaf has a proof that holds, and the proof holds for nothing else', () => {
  fc.assert(
    fc.property(leaves, fc.nat(), leaf, (list, at, other) => {
      const index = at % list.length
      const claim = { leaf: list[index] ?? other, index, size: list.length, proof: inclusionProof(list, index), root: merkleRoot(list) }
      expect(checkInclusion(claim)).toBe(true)
      if (hex(other) !== hex(claim.leaf)) expect(checkInclusion({ ...claim, leaf: other })).toBe(false)
      expect(checkInclusion({ ...claim, root: hash(claim.root) })).toBe(false)
      expect(checkInclusion({ ...claim, proof: [...claim.proof, claim.root] })).toBe(false)
      expect(checkInclusion({ ...claim, proof: [...claim.proof, new Uint8Array(31)] })).toBe(false)
      if (list.length > 1) expect(checkInclusion({ ...claim, proof: claim.proof.slice(1) })).toBe(false)
      for (let wrong = 0; wrong < list.length; wrong += 1)
        if (wrong !== index && hex(list[wrong] ?? other) !== hex(claim.leaf)) expect(checkInclusion({ ...claim, leaf: list[wrong] ?? other })).toBe(false)
    }),
  )
})

test('an inner node does not pass for a leaf', () => {
  const [a, b] = [Uint8Array.of(1), Uint8Array.of(2)]
  const inner = new Uint8Array([...hash(Uint8Array.of(0), a), ...hash(Uint8Array.of(0), b)])
  expect(merkleRoot([inner])).not.toEqual(merkleRoot([a, b]))
})

test('claims that make no sense are false, and a proof of a leaf that is not there is an error', () => {
  const claim = { leaf: Uint8Array.of(1), proof: [], root: merkleRoot([Uint8Array.of(1)]) }
  expect(checkInclusion({ ...claim, index: 0, size: 1 })).toBe(true)
  for (const [index, size] of [
    [0, 0],
    [1, 1],
    [-1, 1],
    [0.5, 1],
    [Number.NaN, 1],
    [0, Number.POSITIVE_INFINITY],
    [2 ** 53, 2 ** 54],
  ] as const)
    expect(checkInclusion({ ...claim, index, size })).toBe(false)
  for (const index of [-1, 1, 0.5]) expect(() => inclusionProof([Uint8Array.of(1)], index)).toThrow(RangeError)
})

test('a proof in a tree of more than 2^32 leaves is followed beyond 32 bits', () => {
  // The last leaf of 2^40 + 1 stands alone on the right: its proof is the root of the rest.
  const rest = hash(Uint8Array.of(9))
  const last = Uint8Array.of(3)
  const root = hash(Uint8Array.of(1), rest, hash(Uint8Array.of(0), last))
  expect(checkInclusion({ leaf: last, index: 2 ** 40, size: 2 ** 40 + 1, proof: [rest], root })).toBe(true)
  // Inside a complete tree of 2^40 leaves the bits of the index say on which side each neighbour is.
  const index = 2 ** 39 + 2 ** 33 + 6
  const proof = Array.from({ length: 40 }, (_, height) => hash(Uint8Array.of(height)))
  const complete = proof.reduce(
    (inner, sibling, height) =>
      ((BigInt(index) >> BigInt(height)) & 1n) === 1n ? hash(Uint8Array.of(1), sibling, inner) : hash(Uint8Array.of(1), inner, sibling),
    hash(Uint8Array.of(0), last),
  )
  expect(checkInclusion({ leaf: last, index, size: 2 ** 40, proof, root: complete })).toBe(true)
})

test('a proof longer than the tree is high is refused, even where it leads to the root of a higher tree', () => {
  const [a, b] = [Uint8Array.of(1), Uint8Array.of(2)]
  expect(checkInclusion({ leaf: a, index: 0, size: 1, proof: [hash(Uint8Array.of(0), b)], root: merkleRoot([b, a]) })).toBe(false)
  expect(checkInclusion({ leaf: a, index: 1, size: 2, proof: [hash(Uint8Array.of(0), b)], root: merkleRoot([b, a]) })).toBe(true)
})
