import { createHash } from 'node:crypto'
import { readFileSync } from 'node:fs'
import { publicKeyOf } from '@skrei/protocol'
import { expect, test } from 'vitest'
import { commitment, commitmentBytes, type Opening } from '../src/index.ts'

const { cases } = JSON.parse(readFileSync(new URL('../test-vectors/commitments.json', import.meta.url), 'utf8'))
const read = ({ fuel, ...rest }: Omit<Opening, 'fuel'> & { readonly fuel?: string }): Opening => ({
  ...rest,
  ...(fuel !== undefined && { fuel: BigInt(fuel) }),
})
const hex = (bytes: Uint8Array) => Buffer.from(bytes).toString('hex')
const opening = read(cases[0].opening)

test('commitments have the bytes of the vectors: 404, in fields of fixed width', () => {
  for (const vector of cases) {
    const bytes = commitmentBytes(read(vector.opening))
    expect(bytes.length).toBe(404)
    expect(hex(bytes)).toBe(vector.bytes)
    expect(hex(commitment(read(vector.opening)))).toBe(vector.commitment)
    expect(createHash('sha256').update(bytes).digest('hex')).toBe(vector.commitment)
  }
})

test('each field stands where the description says', () => {
  const { opening: raw, bytes } = cases[1]
  const at = (from: number, length: number) => bytes.slice(from * 2, (from + length) * 2)
  const sha256 = (text: string) => createHash('sha256').update(text).digest('hex')
  const texts = ['skrei/commitment/1', raw.network, raw.job, raw.spec, raw.manifest, raw.execution]
  for (const [index, text] of texts.entries()) expect(at(index * 32, 32)).toBe(sha256(text))
  expect(at(192, 32)).toBe(hex(publicKeyOf(raw.node)))
  expect(at(224, 32)).toBe(sha256(raw.engine))
  expect([at(256, 32), at(288, 32), at(320, 32), at(352, 32)]).toEqual([raw.salt, raw.digest, raw.traceRoot, raw.evidenceRoot])
  expect([at(384, 4), at(388, 4), at(392, 4), at(396, 8)]).toEqual(['ffffffff', '00000003', 'ffffffff', 'fffffffffffffffe'])
})

test('any field that changes changes the commitment', () => {
  const changes: readonly Partial<Opening>[] = [
    {},
    { network: 'x' },
    { job: 'x' },
    { spec: 'x' },
    { manifest: 'x' },
    { execution: 'x' },
    { engine: 'x' },
    { salt: '1'.repeat(64) },
    { digest: '1'.repeat(64) },
    { traceRoot: '1'.repeat(64) },
    { evidenceRoot: '1'.repeat(64) },
    { shard: 8 },
    { attempt: 1 },
    { exit: 1 },
    { fuel: 0n },
    { fuel: 1n },
    { node: '12D3KooWK99VoVxNE7XzyBwXEzW7xhK7Gpv85r9F3V3fyKSUKPH5' },
  ]
  expect(new Set(changes.map((change) => hex(commitment({ ...opening, ...change })))).size).toBe(changes.length)
})

test('fields out of range are errors', () => {
  const refusal = expect.objectContaining({ name: 'VerifierError', code: 'field-invalid' })
  const wrong: readonly Partial<Opening>[] = [
    { salt: 'ab' },
    { digest: 'G'.repeat(64) },
    { traceRoot: '' },
    { shard: -1 },
    { shard: 2 ** 32 },
    { attempt: 0.5 },
    { exit: 2 ** 32 },
    { fuel: -1n },
    { fuel: 2n ** 64n - 1n },
    { fuel: 2n ** 64n },
    { engine: '\ud800' },
  ]
  for (const change of wrong) expect(() => commitmentBytes({ ...opening, ...change })).toThrow(refusal)
  expect(() => commitmentBytes({ ...opening, node: 'node-1' })).toThrow(expect.objectContaining({ code: 'invalid-node-id' }))
})
