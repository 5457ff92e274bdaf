import fc from 'fast-check'
import { expect, test } from 'vitest'
import {
  decodeLogRequest,
  encodeLogEnd,
  encodeLogFrame,
  encodeLogRequest,
  type LogEnd,
  type LogFrame,
  logEnds,
  logFrames,
  maxLogFrameBytes,
} from '../src/index.ts'

const request = { network: 'test', execution: 'x', from: { stdout: 7 }, follow: true }

const framesOf = async (chunks: readonly Uint8Array[]): Promise<LogFrame[]> => {
  const found: LogFrame[] = []
  async function* all() {
    yield* chunks
  }
  for await (const frame of logFrames(all())) found.push(frame)
  return found
}

/** Parts of one stream that follow each other are one. */
const joined = (frames: readonly LogFrame[]): string =>
  frames
    .map((frame) => ('end' in frame ? `end ${frame.end}` : `${frame.stream} ${Buffer.from(frame.bytes).toString('hex')}`))
    .join('\n')
    .replaceAll(/(?<=(stdout|stderr) [0-9a-f]*)\n\1 /g, '')

test('a request keeps what it says, and only its canonical bytes are one', () => {
  const bytes = encodeLogRequest(request)
  expect(decodeLogRequest(bytes, { network: 'test' })).toEqual(request)
  expect(() => decodeLogRequest(bytes, { network: 'other' })).toThrow(expect.objectContaining({ code: 'wrong-network' }))
  expect(() => decodeLogRequest(new Uint8Array([...bytes, 0]), { network: 'test' })).toThrow(expect.objectContaining({ code: 'malformed-message' }))
  for (const from of [{}, { stdout: -1 }, { stdout: 1.5 }, { other: 1 }])
    expect(() => encodeLogRequest({ ...request, from } as typeof request)).toThrow(expect.objectContaining({ code: 'malformed-message' }))
})

test('frames are the same, however the answer is cut', async () => {
  const frame = fc.tuple(fc.constantFrom('stdout' as const, 'stderr' as const), fc.uint8Array({ minLength: 1, maxLength: 40 }))
  const end = fc.constantFrom(...(Object.keys(logEnds) as LogEnd[]))
  await fc.assert(
    fc.asyncProperty(fc.array(frame, { maxLength: 8 }), end, fc.array(fc.nat(400), { maxLength: 12 }), async (frames, reason, cuts) => {
      const whole = Buffer.concat([...frames.map(([stream, bytes]) => encodeLogFrame(stream, bytes)), encodeLogEnd(reason), Uint8Array.of(1, 2, 3)])
      const places = [0, ...cuts.filter((cut) => cut < whole.length).sort((one, other) => one - other), whole.length]
      const chunks = places.slice(1).map((place, index) => new Uint8Array(whole.subarray(places[index], place)))
      const expected = [...frames.map(([stream, bytes]) => ({ stream, bytes })), { end: reason }]
      expect(joined(await framesOf(chunks))).toBe(joined(expected))
    }),
  )
})

test.each([
  ['nothing', []],
  ['no last frame', [...encodeLogFrame('stdout', Uint8Array.of(1))]],
  ['half a head', [1, 0, 0]],
  ['half a frame', [1, 0, 0, 0, 2, 1]],
  ['another kind', [3, 0, 0, 0, 1, 1]],
  ['no bytes', [1, 0, 0, 0, 0]],
  ['too many bytes', [1, 0, 1, 0, 1]],
  ['a long reason', [0, 0, 0, 0, 65]],
])('an answer with %s is none', async (_, bytes) => {
  await expect(framesOf([Uint8Array.from(bytes)])).rejects.toMatchObject({ code: 'malformed-message' })
})

test('a reason of a later release is one that is not known, and no frame is made that nobody would read', async () => {
  expect(await framesOf([Uint8Array.from([0, 0, 0, 0, 8, ...Buffer.from('toString')])])).toEqual([{ end: undefined }])
  expect(() => encodeLogFrame('stdout', new Uint8Array())).toThrow(RangeError)
  expect(() => encodeLogFrame('stdout', new Uint8Array(maxLogFrameBytes + 1))).toThrow(RangeError)
})
