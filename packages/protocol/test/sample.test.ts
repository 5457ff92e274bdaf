import fc from 'fast-check'
import { expect, test } from 'vitest'
import {
  decodeSampleHead,
  decodeSampleRequest,
  encodeSampleHead,
  encodeSampleRequest,
  frame,
  maxAnnouncementBytes,
  maxSampleBytes,
  maxSampleSize,
  ProtocolError,
  sampleFrames,
} from '../src/index.ts'

const node = fc.string({ unit: fc.integer({ min: 0x21, max: 0x7e }).map((code) => String.fromCharCode(code)), minLength: 1, maxLength: 128 })
const request = fc
  .tuple(fc.nat(maxSampleSize), fc.array(node, { maxLength: 64 }), fc.option(fc.string({ maxLength: 128 })))
  .map(([most, about, engine]) => ({ network: 'test', most, about, ...(engine !== null && { engine }) }))
const head = fc.record({
  network: fc.constant('test'),
  peers: fc.maxSafeNat(),
  some: fc.array(node, { maxLength: 8 }),
  sees: fc.array(node, { maxLength: 64 }),
})

test('requests and heads come back as they were, and in no other bytes', () => {
  fc.assert(fc.property(request, (value) => void expect(decodeSampleRequest(encodeSampleRequest(value), { network: 'test' })).toEqual(value)))
  fc.assert(fc.property(head, (value) => void expect(decodeSampleHead(encodeSampleHead(value), { network: 'test' })).toEqual(value)))
})

const codeOf = (run: () => unknown): string => {
  try {
    run()
    return 'none'
  } catch (error) {
    if (!(error instanceof ProtocolError)) throw error
    return error.code
  }
}

test('what asks for too much, is of another network, or is none, is refused with a code', () => {
  const given = { network: 'test', most: 1, about: [] }
  expect(codeOf(() => encodeSampleRequest({ ...given, most: maxSampleSize + 1 }))).toBe('malformed-message')
  expect(codeOf(() => encodeSampleRequest({ ...given, about: Array.from({ length: 65 }, () => 'n') }))).toBe('malformed-message')
  expect(codeOf(() => encodeSampleHead({ network: 'test', peers: 1, some: Array.from({ length: 9 }, () => 'n'), sees: [] }))).toBe('malformed-message')
  expect(codeOf(() => decodeSampleRequest(encodeSampleRequest(given), { network: 'other' }))).toBe('wrong-network')
  expect(codeOf(() => decodeSampleHead(encodeSampleRequest(given), { network: 'test' }))).toBe('malformed-message')
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 200 }), (bytes) => void expect(codeOf(() => decodeSampleRequest(bytes, { network: 'test' }))).not.toBe('none')),
  )
})

const cut = async function* (bytes: Uint8Array, sizes: readonly number[]): AsyncIterable<Uint8Array> {
  let at = 0
  for (const size of sizes) {
    yield bytes.slice(at, at + size)
    at += size
  }
  yield bytes.slice(at)
}
const read = async (chunks: AsyncIterable<Uint8Array>, most: number): Promise<number[][]> => {
  const frames: number[][] = []
  for await (const one of sampleFrames(chunks, { most })) frames.push([...one])
  return frames
}

test('frames are the same however the transport cuts them, and only as many are read as were asked for', async () => {
  await fc.assert(
    fc.asyncProperty(
      fc.array(fc.uint8Array({ maxLength: 20 }), { minLength: 1, maxLength: 10 }),
      fc.array(fc.nat(30), { maxLength: 10 }),
      fc.nat(12),
      async (parts, sizes, most) => {
        const bytes = new Uint8Array(parts.flatMap((part) => [...frame(part)]))
        expect(await read(cut(bytes, sizes), most)).toEqual(parts.slice(0, most + 1).map((part) => [...part]))
      },
    ),
  )
})

test('an endless answer, a frame that is too large and one that is cut short are errors', async () => {
  let sent = 0
  const endless = async function* (): AsyncIterable<Uint8Array> {
    for (;;) {
      sent += 4096
      yield frame(new Uint8Array(4092))
    }
  }
  await expect(read(endless(), 1000)).rejects.toMatchObject({ code: 'message-too-large' })
  expect(sent).toBeLessThanOrEqual(maxSampleBytes + 8192)
  await expect(read(cut(frame(new Uint8Array(maxAnnouncementBytes + 1)).slice(0, 4), []), 1)).rejects.toMatchObject({ code: 'message-too-large' })
  await expect(read(cut(frame(new Uint8Array(9)).slice(0, 12), []), 1)).rejects.toMatchObject({ code: 'malformed-message' })
})
