import { readdirSync, readFileSync } from 'node:fs'
import { expect, test } from 'vitest'
import { dagJson, vectorFiles } from '../scripts/vectors.ts'
import type { AnyDraft } from '../src/index.ts'
import {
  checkInclusion,
  checkSignature,
  decodeAnnouncement,
  decodeHint,
  decodeLogRequest,
  decodeMessage,
  decodeSampleHead,
  decodeSampleRequest,
  encodeLogRequest,
  encodeMessage,
  encodeSampleHead,
  encodeSampleRequest,
  executionId,
  identityFrom,
  logFrames,
  logsProtocol,
  merkleRoot,
  nodeIdOf,
  publicKeyOf,
  sampleFrames,
  sampleProtocol,
  signedBytes,
  signedTypes,
  slotKey,
  slotOf,
} from '../src/index.ts'
import { messageTypes } from './samples.ts'

const folder = new URL('../test-vectors/', import.meta.url)
const read = (name: string) => JSON.parse(readFileSync(new URL(name, folder), 'utf8'))
const bytes = (text: string) => new Uint8Array(Buffer.from(text, 'hex'))
const hex = (value: Uint8Array) => Buffer.from(value).toString('hex')
const fromDagJson = (value: unknown): unknown => {
  if (Array.isArray(value)) return value.map(fromDagJson)
  if (typeof value !== 'object' || value === null) return value
  if ('/' in value) return new Uint8Array(Buffer.from((value['/'] as { bytes: string }).bytes, 'base64'))
  return Object.fromEntries(Object.entries(value).map(([key, inner]) => [key, fromDagJson(inner)]))
}

test('the test vectors under version control are what the code makes: after a wanted change, run `pnpm vectors`', () => {
  const files = vectorFiles()
  expect(readdirSync(folder).toSorted()).toEqual(Object.keys(files).toSorted())
  for (const [name, content] of Object.entries(files)) expect(read(name), name).toEqual(JSON.parse(JSON.stringify(content)))
})

test('node ids are those of the vectors, and other text is refused', () => {
  const { valid, refused } = read('node-ids.json')
  for (const vector of valid) {
    expect(identityFrom(bytes(vector.privateKey))).toMatchObject({ nodeId: vector.nodeId, publicKey: bytes(vector.publicKey) })
    expect(nodeIdOf(bytes(vector.publicKey))).toBe(vector.nodeId)
    expect(hex(publicKeyOf(vector.nodeId))).toBe(vector.publicKey)
  }
  for (const text of refused) expect(() => publicKeyOf(text), text).toThrow(expect.objectContaining({ code: 'invalid-node-id' }))
})

test('a message of every type has the bytes, the slot and the signature of the vectors', () => {
  const { network, nodes, messages } = read('messages.json')
  expect(messages.map((vector: { message: AnyDraft }) => vector.message.type)).toEqual(messageTypes)
  for (const vector of messages) {
    const draft = fromDagJson(vector.message) as AnyDraft
    const sender = nodes.find((node: { nodeId: string }) => node.nodeId === draft.from)
    const { sign } = identityFrom(bytes(sender.privateKey))
    expect(hex(encodeMessage(draft, sign)), draft.type).toBe(vector.bytes)
    expect(slotOf(draft)).toEqual(vector.slot)
    expect(slotKey(slotOf(draft))).toBe(vector.slotKey)
    const { version, signature, ...received } = decodeMessage(bytes(vector.bytes), { network, self: draft.to, from: draft.from, check: checkSignature })
    expect(version).toBe(1)
    expect(dagJson(received)).toEqual(vector.message)
    expect(signature === undefined ? undefined : hex(signature)).toBe(vector.signature)
    if (signedTypes.has(draft.type)) {
      expect(hex(signedBytes(draft))).toBe(vector.signedBytes)
      expect(checkSignature(draft.from, bytes(vector.signedBytes), bytes(vector.signature))).toBe(true)
    }
  }
})

test('hints and announcements have the bytes of the vectors', () => {
  const { network, hints, announcements } = read('messages.json')
  for (const vector of hints) expect(decodeHint(bytes(vector.bytes), { network })).toEqual(vector.hint)
  for (const vector of announcements) {
    expect(decodeAnnouncement(bytes(vector.bytes), { network, check: checkSignature })).toEqual(vector.announcement)
    expect(checkSignature(vector.announcement.node, bytes(vector.signedBytes), bytes(vector.signature))).toBe(true)
  }
})

test('what the vectors say is to be refused is refused, with their code', () => {
  const { network, self, from, cases } = read('refused.json')
  for (const vector of cases)
    expect(() => decodeMessage(bytes(vector.bytes), { network, self, from, check: checkSignature }), vector.why).toThrow(
      expect.objectContaining({ name: 'ProtocolError', code: vector.code }),
    )
})

test('the query for logs has the bytes and the frames of the vectors, and what they say is to be refused is refused', async () => {
  const { protocol, network, requests, answers, refused } = read('logs.json')
  expect(protocol).toBe(logsProtocol)
  for (const vector of requests) {
    expect(hex(encodeLogRequest(vector.request))).toBe(vector.bytes)
    expect(decodeLogRequest(bytes(vector.bytes), { network })).toEqual(vector.request)
  }
  const answerOf = async (answer: Uint8Array, size: number) => {
    async function* chunks() {
      for (let at = 0; at < answer.length; at += size) yield answer.subarray(at, at + size)
    }
    const seen = { stdout: '', stderr: '', end: '' }
    for await (const frame of logFrames(chunks())) {
      if ('end' in frame) seen.end = frame.end ?? ''
      else seen[frame.stream] += hex(frame.bytes)
    }
    return seen
  }
  for (const { bytes: whole, ...expected } of answers) for (const size of [1, 7, 100_000]) expect(await answerOf(bytes(whole), size)).toEqual(expected)
  const refuses = (code: string) => expect.objectContaining({ name: 'ProtocolError', code })
  for (const vector of refused.requests) expect(() => decodeLogRequest(bytes(vector.bytes), { network }), vector.why).toThrow(refuses(vector.code))
  for (const vector of refused.answers) await expect(answerOf(bytes(vector.bytes), 10), vector.why).rejects.toThrow(refuses(vector.code))
})

test('the query for a sample has the bytes and the frames of the vectors, and what they say is to be refused is refused', async () => {
  const { protocol, network, requests, heads, answers, refused } = read('samples.json')
  expect(protocol).toBe(sampleProtocol)
  for (const vector of requests) {
    expect(hex(encodeSampleRequest(vector.request))).toBe(vector.bytes)
    expect(decodeSampleRequest(bytes(vector.bytes), { network })).toEqual(vector.request)
  }
  for (const vector of heads) {
    expect(hex(encodeSampleHead(vector.head))).toBe(vector.bytes)
    expect(decodeSampleHead(bytes(vector.bytes), { network })).toEqual(vector.head)
  }
  // However the transport cuts it.
  const framesOf = async (answer: Uint8Array, most: number, size: number) => {
    async function* chunks() {
      for (let at = 0; at < answer.length; at += size) yield answer.subarray(at, at + size)
    }
    const frames: string[] = []
    for await (const frame of sampleFrames(chunks(), { most })) frames.push(hex(frame))
    return frames
  }
  for (const vector of answers) for (const size of [1, 7, 100_000]) expect(await framesOf(bytes(vector.bytes), vector.most, size)).toEqual(vector.frames)
  const refuses = (code: string) => expect.objectContaining({ name: 'ProtocolError', code })
  for (const vector of refused.requests) expect(() => decodeSampleRequest(bytes(vector.bytes), { network }), vector.why).toThrow(refuses(vector.code))
  for (const vector of refused.heads) expect(() => decodeSampleHead(bytes(vector.bytes), { network }), vector.why).toThrow(refuses(vector.code))
  for (const vector of refused.answers) await expect(framesOf(bytes(vector.bytes), vector.most, 10), vector.why).rejects.toThrow(refuses(vector.code))
})

test('execution ids are those of the vectors', () => {
  for (const { executionId: expected, ...origin } of read('execution-ids.json').cases) expect(executionId(origin)).toBe(expected)
})

test('Merkle roots and proofs are those of the vectors', () => {
  const { leaves, roots, proofs } = read('merkle.json')
  const all = leaves.map(bytes)
  for (const [size, root] of roots.entries()) expect(hex(merkleRoot(all.slice(0, size)))).toBe(root)
  for (const { index, size, proof } of proofs)
    expect(checkInclusion({ leaf: all[index], index, size, proof: proof.map(bytes), root: bytes(roots[size]) })).toBe(true)
})
