import { encode } from '@ipld/dag-cbor'
import fc from 'fast-check'
import { expect, test } from 'vitest'
import {
  type AnyDraft,
  bodies,
  checkSignature,
  decodeAnnouncement,
  decodeHint,
  decodeMessage,
  encodeAnnouncement,
  encodeHint,
  encodeMessage,
  maxAnnouncementBytes,
  maxMessageBytes,
  ProtocolError,
  protocolErrors,
  signedTypes,
  signedWhereVerified,
  slotKey,
  slotOf,
} from '../src/index.ts'
import { anyAnnouncement, anyDraft, anyHint, arbitraryDraft } from './arbitraries.ts'
import { compute, messageTypes, network, requester, sampleAnnouncement, sampleDraft, sampleDrafts, sampleHints, signerOf } from './samples.ts'

const signed = (draft: AnyDraft) => encodeMessage(draft, signerOf(draft).sign)
const expectation = (draft: Pick<AnyDraft, 'from' | 'to'>) => ({ network, self: draft.to, from: draft.from, check: checkSignature })
const toCompute = expectation(sampleDraft('ask'))
const refusal = (code: string) => expect.objectContaining({ name: 'ProtocolError', code })

/** Runs the reader on hostile bytes; whatever it throws but a ProtocolError of the closed list fails the test. */
const survives = (read: () => unknown) => {
  try {
    read()
  } catch (error) {
    expect(error).toBeInstanceOf(ProtocolError)
    expect(Object.keys(protocolErrors)).toContain((error as ProtocolError).code)
    expect((error as ProtocolError).message.length).toBeLessThan(1024)
  }
}
const readAll = (bytes: Uint8Array) => {
  survives(() => decodeMessage(bytes, toCompute))
  survives(() => decodeHint(bytes, { network }))
  survives(() => decodeAnnouncement(bytes, { network, check: checkSignature }))
}

test.each(messageTypes)('%s: what was encoded is what is decoded', (type) => {
  fc.assert(
    fc.property(arbitraryDraft(type), (draft) => {
      const { version, signature, ...received } = decodeMessage(signed(draft), expectation(draft))
      expect(version).toBe(1)
      expect(signature?.length).toBe(signedTypes.has(type) ? 64 : undefined)
      expect(received).toEqual(draft)
    }),
    { numRuns: 40 },
  )
})

test('hints and announcements: what was encoded is what is decoded', () => {
  fc.assert(
    fc.property(anyHint, (hint) => {
      expect(decodeHint(encodeHint(hint), { network })).toEqual(hint)
    }),
  )
  fc.assert(
    fc.property(anyAnnouncement, (announcement) => {
      const { sign } = announcement.node === compute.nodeId ? compute : requester
      expect(decodeAnnouncement(encodeAnnouncement(announcement, sign), { network, check: checkSignature })).toEqual(announcement)
    }),
  )
})

test('the order in which a sender holds its keys does not change the bytes', () => {
  const reverse = (value: unknown): unknown =>
    typeof value !== 'object' || value === null || value instanceof Uint8Array
      ? value
      : Array.isArray(value)
        ? value.map(reverse)
        : Object.fromEntries(
            Object.entries(value)
              .toReversed()
              .map(([key, inner]) => [key, reverse(inner)]),
          )
  fc.assert(
    fc.property(anyDraft, (draft) => {
      expect(signed(reverse(draft) as AnyDraft)).toEqual(signed(draft))
    }),
  )
})

test('the bytes a reader is handed may lie anywhere in a larger buffer, and what it returns shares no memory with them', () => {
  const draft = sampleDraft('open') as AnyDraft
  const bytes = signed(draft)
  for (const make of [(length: number) => new Uint8Array(length), (length: number) => Buffer.alloc(length)]) {
    const buffer = make(bytes.length + 7)
    buffer.set(bytes, 3)
    const message = decodeMessage(buffer.subarray(3, 3 + bytes.length), expectation(draft))
    buffer.fill(0)
    expect(message.body).toEqual(draft.body)
    expect(message.signature).toEqual(decodeMessage(bytes, expectation(draft)).signature)
  }
})

test('random bytes are refused with a ProtocolError and nothing else', () => {
  fc.assert(fc.property(fc.uint8Array({ maxLength: 200 }), readAll), { numRuns: 600 })
})

test('random DAG-CBOR in the place of any part of a message is refused with a ProtocolError and nothing else', () => {
  const value = fc.anything({
    withBigInt: true,
    withNullPrototype: true,
    maxDepth: 3,
    key: fc.oneof(fc.string(), fc.constantFrom('__proto__', 'constructor', '/', 'bytes', 'asCID', 'type')),
  })
  const field = fc.constantFrom('version', 'network', 'from', 'to', 'incarnation', 'type', 'body', 'signature', 'node', 'executions', 'labels')
  fc.assert(
    fc.property(fc.oneof(anyDraft, anyHint, anyAnnouncement), field, value, (base, name, replacement) => {
      let bytes: Uint8Array
      try {
        bytes = encode({ version: 1, ...base, [name]: replacement })
      } catch {
        return
      }
      readAll(bytes)
    }),
    { numRuns: 400 },
  )
})

test('a valid message with some bytes changed, cut out or put in is refused, or is canonical in its turn', () => {
  fc.assert(
    fc.property(anyDraft, fc.nat(), fc.nat(8), fc.uint8Array({ maxLength: 8 }), (draft, at, removed, inserted) => {
      const original = signed(draft)
      const from = at % original.length
      const bytes = new Uint8Array([...original.subarray(0, from), ...inserted, ...original.subarray(from + removed)])
      let message: AnyDraft | undefined
      survives(() => {
        message = decodeMessage(bytes, expectation(draft))
      })
      if (message !== undefined) expect(signedTypes.has(message.type) ? original : signed(message)).toEqual(bytes)
    }),
    { numRuns: 400 },
  )
})

/** Which bits (every one, or every so many), flipped one at a time, leave bytes that are read. */
const survivingFlips = (original: Uint8Array, read: (bytes: Uint8Array) => unknown, step = 1): readonly number[] => {
  const bytes = original.slice()
  const flip = (bit: number) => {
    bytes[bit >> 3] = (bytes[bit >> 3] ?? 0) ^ (1 << (bit & 7))
  }
  return Array.from({ length: Math.floor((bytes.length * 8) / step) }, (_, index) => index * step).filter((bit) => {
    flip(bit)
    try {
      read(bytes)
      return true
    } catch (error) {
      if (!(error instanceof ProtocolError)) throw error
      return false
    } finally {
      flip(bit)
    }
  })
}

test('any flipped bit of a signed message is refused', () => {
  for (const draft of sampleDrafts.filter(({ type }) => signedTypes.has(type))) {
    expect(decodeMessage(signed(draft), expectation(draft)).type).toBe(draft.type)
    expect(
      survivingFlips(signed(draft), (bytes) => decodeMessage(bytes, expectation(draft))),
      draft.type,
    ).toEqual([])
  }
})

test('a signature is no good on another type, network, direction or incarnation', () => {
  const commit = sampleDraft('commit') as AnyDraft
  const { signature } = decodeMessage(signed(commit), expectation(commit))
  const elsewhere = [
    { ...commit, type: 'receipt' },
    { ...commit, network: 'other' },
    { ...commit, to: compute.nodeId },
    { ...commit, incarnation: { counter: 2, id: 'fedcba9876543210' } },
  ]
  for (const changed of elsewhere) {
    const bytes = encode({ version: 1, ...changed, signature })
    expect(() => decodeMessage(bytes, { network: changed.network, self: changed.to, from: changed.from, check: checkSignature })).toThrow(
      refusal('bad-signature'),
    )
  }
})

test('without a signature goes only what belongs to an execution that is not verified, and only where its receiver says so', () => {
  for (const type of messageTypes) {
    const draft = sampleDraft(type) as AnyDraft
    if (signedTypes.has(type) && !signedWhereVerified.has(type)) {
      expect(() => encodeMessage(draft, undefined)).toThrow(refusal('bad-signature'))
      continue
    }
    const bytes = encodeMessage(draft, undefined)
    expect(decodeMessage(bytes, { ...expectation(draft), verified: () => false })).not.toHaveProperty('signature')
    if (!signedWhereVerified.has(type)) continue
    expect(() => decodeMessage(bytes, expectation(draft))).toThrow(refusal('bad-signature'))
    expect(() => decodeMessage(bytes, { ...expectation(draft), verified: () => true })).toThrow(refusal('bad-signature'))
  }
})

test('a signature that is not needed is checked all the same', () => {
  for (const type of signedWhereVerified) {
    const draft = sampleDraft(type) as AnyDraft
    const lenient = { ...expectation(draft), verified: () => false }
    expect(decodeMessage(signed(draft), lenient).signature?.length).toBe(64)
    expect(() => decodeMessage(signed(draft), { ...lenient, check: () => false })).toThrow(refusal('bad-signature'))
  }
  for (const type of messageTypes) {
    if (!signedTypes.has(type) || signedWhereVerified.has(type)) continue
    const draft = sampleDraft(type) as AnyDraft
    const bytes = encode({ version: 1, ...draft })
    expect(() => decodeMessage(bytes, { ...expectation(draft), verified: () => false })).toThrow(refusal('bad-signature'))
  }
})

test('a signature of another length than 64 bytes is refused, whatever the checker says', () => {
  for (const length of [0, 63, 65]) {
    const bytes = encode({ version: 1, ...sampleDraft('award'), signature: new Uint8Array(length) })
    expect(() => decodeMessage(bytes, { ...toCompute, check: () => true })).toThrow(refusal('bad-signature'))
  }
  const announcement = encode({ version: 1, ...sampleAnnouncement, signature: new Uint8Array(63) })
  expect(() => decodeAnnouncement(announcement, { network, check: () => true })).toThrow(refusal('bad-signature'))
})

test('hints and announcements in other bytes than the canonical ones are refused', () => {
  const longer = (bytes: Uint8Array) => Buffer.from(Buffer.from(bytes).toString('hex').replace('76657273696f6e01', '76657273696f6e1801'), 'hex')
  for (const hint of sampleHints) expect(() => decodeHint(longer(encodeHint(hint)), { network })).toThrow(refusal('malformed-message'))
  const announcement = longer(encodeAnnouncement(sampleAnnouncement, compute.sign))
  expect(() => decodeAnnouncement(announcement, { network, check: checkSignature })).toThrow(refusal('malformed-message'))
})

test('the signer is asked only for types that are signed, the checker only for messages that are whole', () => {
  const never = () => {
    throw new Error('asked')
  }
  const settle = encodeMessage(sampleDraft('settle'), never)
  expect(decodeMessage(settle, { ...toCompute, check: never }).type).toBe('settle')
  const award = encode({ version: 1, ...sampleDraft('award'), body: { execution: 'x' }, signature: new Uint8Array(64) })
  expect(() => decodeMessage(award, { ...toCompute, check: never })).toThrow(refusal('malformed-message'))
})

test('a sender is told of its own mistake', () => {
  const wrong: readonly [unknown, string][] = [
    [{ ...sampleDraft('settle'), type: 'toString' }, 'unknown-message'],
    [{ ...sampleDraft('settle'), body: { execution: '' } }, 'malformed-message'],
    [{ ...sampleDraft('settle'), body: { execution: 'has blank' } }, 'malformed-message'],
    [{ ...sampleDraft('settle'), body: { execution: undefined } }, 'malformed-message'],
    [{ ...sampleDraft('settle'), incarnation: { counter: 0, id: '0123456789abcdef' } }, 'malformed-message'],
    [{ ...sampleDraft('bid'), body: { ...sampleDraft('bid').body, ttl: Number.NaN } }, 'malformed-message'],
    [{ ...sampleDraft('bid'), body: { ...sampleDraft('bid').body, ttl: Number.POSITIVE_INFINITY } }, 'malformed-message'],
    [{ ...sampleDraft('bid'), body: { ...sampleDraft('bid').body, ttl: 1e300 } }, 'malformed-message'],
  ]
  for (const [draft, code] of wrong) expect(() => encodeMessage(draft as AnyDraft, requester.sign)).toThrow(refusal(code))
})

test('what is too large is refused on both sides before it is looked into', () => {
  const ask = sampleDraft('ask')
  const large = { ...ask, body: { ...ask.body, task: { ...ask.body.task, engine: { type: 'acme.dev/toy', text: 'x'.repeat(maxMessageBytes) } } } }
  expect(() => encodeMessage(large, requester.sign)).toThrow(refusal('message-too-large'))
  expect(() => decodeMessage(new Uint8Array(maxMessageBytes + 1), toCompute)).toThrow(refusal('message-too-large'))
  expect(() => decodeAnnouncement(new Uint8Array(maxAnnouncementBytes + 1), { network, check: checkSignature })).toThrow(refusal('message-too-large'))
  const labels = Object.fromEntries(Array.from({ length: 65 }, (_, index) => [`label-${index}`, '']))
  expect(() => encodeAnnouncement({ ...sampleAnnouncement, labels }, compute.sign)).toThrow(refusal('malformed-message'))
})

test('bytes that promise or unfold to much are refused: a million items, deep nesting, a list of 2^53 entries', () => {
  const empty = new Uint8Array(maxMessageBytes).fill(0x80)
  empty.set([0x9a, 0x00, 0x0f, 0xff, 0xfb])
  expect(() => decodeMessage(empty, toCompute)).toThrow(refusal('message-too-large'))
  expect(() => decodeMessage(new Uint8Array(maxMessageBytes).fill(0x81), toCompute)).toThrow(refusal('message-too-large'))
  for (const text of ['9b001fffffffffffff', 'bb001fffffffffffff', '5b001fffffffffffff', '7b001fffffffffffff', '9bffffffffffffffff'])
    expect(() => decodeMessage(Buffer.from(text, 'hex'), toCompute)).toThrow(refusal('malformed-message'))
})

test('a key __proto__ is refused, and changes no prototype', () => {
  const bytes = Buffer.from(encode({ version: 1, ...sampleDraft('settle'), _proto_12: { polluted: true } }))
  bytes.write('__proto__', bytes.indexOf('_proto_12'))
  expect(() => decodeMessage(bytes, toCompute)).toThrow(refusal('malformed-message'))
  expect({}).not.toHaveProperty('polluted')
})

test('hints and announcements of another network or version, altered, or signed by another node are refused', () => {
  const [alive] = sampleHints
  if (alive === undefined) throw new Error('no sample')
  expect(() => decodeHint(encodeHint(alive), { network: 'other' })).toThrow(refusal('wrong-network'))
  expect(() => decodeHint(encode({ ...alive, version: 2 }), { network })).toThrow(refusal('unsupported-version'))
  expect(() => decodeHint(encode(alive), { network })).toThrow(refusal('malformed-message'))
  const bytes = encodeAnnouncement(sampleAnnouncement, compute.sign)
  const read =
    (changed: Uint8Array, of = network) =>
    () =>
      decodeAnnouncement(changed, { network: of, check: checkSignature })
  expect(read(bytes, 'other')).toThrow(refusal('wrong-network'))
  expect(read(encode({ version: 1, ...sampleAnnouncement }))).toThrow(refusal('bad-signature'))
  expect(read(encodeAnnouncement(sampleAnnouncement, requester.sign))).toThrow(refusal('bad-signature'))
  expect(survivingFlips(bytes, (changed) => read(changed)(), 7)).toEqual([])
})

test('slots tell apart what may be said twice, and keep together what may not', () => {
  const slot = (draft: AnyDraft) => slotKey(slotOf(draft))
  const verdict = sampleDraft('verdict')
  expect(slotOf(verdict as AnyDraft)).toEqual([requester.nodeId, compute.nodeId, verdict.body.execution, 'verdict', 2])
  expect(slotOf(sampleDraft('commit') as AnyDraft)[4]).toBe(1)
  expect(slotOf(sampleDraft('ask') as AnyDraft)).toEqual([requester.nodeId, compute.nodeId, sampleDraft('ask').body.askId, 'ask', 0])
  expect(slot({ ...verdict, body: { ...verdict.body, epoch: 3 } })).not.toBe(slot(verdict as AnyDraft))
  expect(slot({ ...verdict, body: { ...verdict.body, act: 'hold' } })).toBe(slot(verdict as AnyDraft))
  const stop = sampleDraft('stop')
  expect(slot({ ...stop, body: { ...stop.body, reason: 'lost' } })).toBe(slot(stop as AnyDraft))
  expect(new Set(sampleDrafts.map(slot)).size).toBe(messageTypes.length)
})

test('slot keys are as different as the slots', () => {
  fc.assert(
    fc.property(anyDraft, anyDraft, (one, other) => {
      expect(slotKey(slotOf(one)) === slotKey(slotOf(other))).toBe(JSON.stringify(slotOf(one)) === JSON.stringify(slotOf(other)))
    }),
  )
})

test('every signed type is a type, and every error has a cause and a remedy', () => {
  for (const type of signedTypes) expect(bodies).toHaveProperty(type)
  for (const [code, { cause, remedy }] of Object.entries(protocolErrors)) {
    expect(code).toMatch(/^[a-z]+(-[a-z]+)*$/)
    expect(cause).toMatch(/\.$/)
    expect(remedy).toMatch(/\.$/)
  }
})
