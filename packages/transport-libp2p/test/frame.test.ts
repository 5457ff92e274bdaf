import fc from 'fast-check'
import { expect, test } from 'vitest'
import { frameFields, frameReader, frameWriter } from '../src/frame.ts'

const longest = 5000

const bytes = fc.uint8Array({ maxLength: 200 })

const cut = (whole: Uint8Array, sizes: readonly number[]): Uint8Array[] => {
  const pieces: Uint8Array[] = []
  for (let offset = 0, index = 0; offset < whole.length; index += 1) {
    const size = sizes[index % sizes.length] as number
    pieces.push(whole.subarray(offset, offset + size))
    offset += size
  }
  return pieces
}

test('frames come out as they went in, however the bytes between are cut', () => {
  fc.assert(
    fc.property(
      fc.array(fc.tuple(fc.integer({ min: 0, max: 255 }), fc.maxSafeNat(), fc.string(), bytes), { maxLength: 20 }),
      fc.array(fc.integer({ min: 1, max: 300 }), { minLength: 1 }),
      (frames, sizes) => {
        const writer = frameWriter()
        for (const [kind, number, text, rest] of frames) {
          writer.begin(kind)
          writer.number(number)
          writer.text(text)
          writer.bytes(rest)
          writer.end()
        }
        const seen: unknown[] = []
        const reader = frameReader(longest, (frame) => {
          const fields = frameFields(frame)
          seen.push([frame[0], fields.number(), fields.text(longest), Uint8Array.from(fields.rest())])
        })
        for (const piece of cut(writer.take(), sizes)) reader.push(piece)
        expect(seen).toEqual(frames.map(([kind, number, text, rest]) => [kind, number, text.toWellFormed(), rest]))
        expect(reader.held).toBe(0)
      },
    ),
  )
})

test('whatever arrives is read or refused with a FrameError, and no more of it is held than has arrived', () => {
  fc.assert(
    fc.property(
      fc.array(
        fc.oneof(
          bytes,
          bytes.map((tail) => Uint8Array.of(0, 0, 0, tail.length, ...tail)),
        ),
      ),
      (pieces) => {
        let arrived = 0
        const reader = frameReader(longest, (frame) => {
          const fields = frameFields(frame)
          fields.text(100)
          fields.bytes(fields.number())
          fields.done()
        })
        try {
          for (const piece of pieces) {
            arrived += piece.length
            reader.push(piece)
            expect(reader.held).toBeLessThanOrEqual(arrived)
          }
        } catch (error) {
          expect((error as Error).name).toBe('FrameError')
        }
      },
    ),
  )
})

test('a number has one form', () => {
  for (const [value, form] of [
    [0, [0]],
    [127, [127]],
    [128, [128, 1]],
    [2 ** 32, [128, 128, 128, 128, 16]],
    [Number.MAX_SAFE_INTEGER, [255, 255, 255, 255, 255, 255, 255, 15]],
  ] as const) {
    const writer = frameWriter()
    writer.begin(1)
    writer.number(value)
    writer.end()
    const frame = writer.take()
    expect(Array.from(frame.subarray(5))).toEqual(form)
    expect(frameFields(frame.subarray(4)).number()).toBe(value)
  }
  for (const form of [[128, 0], [255, 255, 255, 255, 255, 255, 255, 31], [255, 255, 255, 255, 255, 255, 255, 255, 1], [128], []])
    expect(() => frameFields(Uint8Array.of(1, ...form)).number()).toThrow(expect.objectContaining({ name: 'FrameError' }))
})
