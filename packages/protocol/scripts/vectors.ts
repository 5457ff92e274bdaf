// Rewrites test-vectors/*.json: `pnpm vectors`. The test compares, so a change of any byte that nodes exchange shows in review.

import { writeFileSync } from 'node:fs'
import { encode } from '@ipld/dag-cbor'
import {
  type AnyDraft,
  announcementSignedBytes,
  checkSignature,
  decodeMessage,
  encodeAnnouncement,
  encodeHint,
  encodeLogEnd,
  encodeLogFrame,
  encodeLogRequest,
  encodeMessage,
  encodeSampleHead,
  encodeSampleRequest,
  executionId,
  frame,
  identityFrom,
  inclusionProof,
  type LogRequest,
  logsProtocol,
  merkleRoot,
  sampleProtocol,
  signedBytes,
  signedTypes,
  slotKey,
  slotOf,
} from '../src/index.ts'
import {
  compute,
  network,
  requester,
  sampleAnnouncement,
  sampleDraft,
  sampleDrafts,
  sampleHeads,
  sampleHints,
  sampleRequests,
  signerOf,
} from '../test/samples.ts'

const hex = (bytes: Uint8Array): string => Buffer.from(bytes).toString('hex')
const bytes = (text: string): Uint8Array => new Uint8Array(Buffer.from(text, 'hex'))

/** DAG-JSON: bytes as {"/": {"bytes": base64 without padding}}. https://ipld.io/specs/codecs/dag-json/spec/ */
export const dagJson = (value: unknown): unknown => {
  if (value instanceof Uint8Array) return { '/': { bytes: Buffer.from(value).toString('base64').replace(/=+$/, '') } }
  if (Array.isArray(value)) return value.map(dagJson)
  if (typeof value === 'object' && value !== null) return Object.fromEntries(Object.entries(value).map(([key, inner]) => [key, dagJson(inner)]))
  return value
}

const identityVector = (seed: Uint8Array) => {
  const { nodeId, publicKey } = identityFrom(seed)
  return { privateKey: hex(seed), publicKey: hex(publicKey), nodeId }
}

const nodeIds = () => ({
  about: 'privateKey: the 32-byte seed of RFC 8032 section 5.1.5; all bytes in hexadecimal. `refused`: text that is no node id.',
  valid: [
    // The keys of the RFC's own test vectors 1 to 3, section 7.1.
    '9d61b19deffd5a60ba844af492ec2cc44449c5697b326919703bac031cae7f60',
    '4ccd089b28ff96da9db6c346ec114e0f5b8a319f35aba624da8cf6ed4fb8a6fb',
    'c5aa8df43f9f837bedb7442f31dcb7b166d38535076f094b85ce3a2e0b4458f7',
    '01'.repeat(32),
    '02'.repeat(32),
  ].map((seed) => identityVector(bytes(seed))),
  refused: [
    '',
    compute.nodeId.slice(0, -1),
    `${compute.nodeId}1`,
    ` ${compute.nodeId}`,
    `${compute.nodeId} `,
    `z${compute.nodeId}`,
    compute.nodeId.toLowerCase(),
    compute.nodeId.replace(/.$/, '0'),
    compute.nodeId.replace('KooW', 'KooX'),
    'QmcgpsyWgH8Y8ajJz1Cu72KnS5uo2Aa2LpzU7kinSupNKC',
    'bafzaajaiaejcbcrtg5bcszlgq4cgyaxm2rliyhbqlwmtlmdhfakkqbhygqzpqkhf',
  ],
})

const messageVector = (draft: AnyDraft) => {
  const { sign } = signerOf(draft)
  const signed = signedTypes.has(draft.type)
  return {
    message: dagJson(draft),
    slot: slotOf(draft),
    slotKey: slotKey(slotOf(draft)),
    ...(signed && { signedBytes: hex(signedBytes(draft)), signature: hex(sign(signedBytes(draft))) }),
    bytes: hex(encodeMessage(draft, sign)),
  }
}

const messages = () => ({
  about:
    '`message` without version and signature, as DAG-JSON; `bytes`: what is sent, in hexadecimal; `signedBytes`: what `signature` is over. Each of the two nodes signs with its key.',
  network,
  nodes: [requester, compute].map((identity) => identityVector(identity.exportPrivateKey())),
  messages: sampleDrafts.map(messageVector),
  hints: sampleHints.map((hint) => ({ hint, bytes: hex(encodeHint(hint)) })),
  announcements: [
    {
      announcement: sampleAnnouncement,
      signedBytes: hex(announcementSignedBytes(sampleAnnouncement)),
      signature: hex(compute.sign(announcementSignedBytes(sampleAnnouncement))),
      bytes: hex(encodeAnnouncement(sampleAnnouncement, compute.sign)),
    },
  ],
})

const text = (value: string) => hex(Buffer.from(value))

/** What a node must refuse: each is a valid message with one thing changed. */
const refused = () => {
  const settle = encodeMessage(sampleDraft('settle'), requester.sign)
  const ask = encodeMessage(sampleDraft('ask'), requester.sign)
  const award = encodeMessage(sampleDraft('award'), requester.sign)
  const envelope = { version: 1, ...sampleDraft('settle') }
  const replaced = (from: string, to: string) => {
    const found = hex(settle).replace(from, to)
    if (found === hex(settle)) throw new Error(`nothing to replace: ${from}`)
    return found
  }
  const flipped = (message: Uint8Array, index: number) => hex(message.map((byte, at) => (at === index ? byte ^ 1 : byte)))
  const receiver = { network, self: compute.nodeId, from: requester.nodeId }
  const received = decodeMessage(award, { ...receiver, check: checkSignature })
  const cases: readonly { readonly why: string; readonly code: string; readonly bytes: string }[] = [
    { why: 'nothing', code: 'malformed-message', bytes: '' },
    { why: 'cut short', code: 'malformed-message', bytes: hex(settle.subarray(0, -1)) },
    { why: 'a byte after the end', code: 'malformed-message', bytes: `${hex(settle)}00` },
    { why: 'a list', code: 'malformed-message', bytes: '80' },
    { why: 'a map of indefinite length', code: 'malformed-message', bytes: `bf${hex(settle).slice(2)}ff` },
    { why: 'version in two bytes where one is enough', code: 'malformed-message', bytes: replaced(`${text('version')}01`, `${text('version')}1801`) },
    { why: 'version as a float', code: 'malformed-message', bytes: replaced(`${text('version')}01`, `${text('version')}fb3ff0000000000000`) },
    { why: 'version 2', code: 'unsupported-version', bytes: replaced(`${text('version')}01`, `${text('version')}02`) },
    { why: 'keys in another order', code: 'malformed-message', bytes: replaced(`67${text('version')}01`, '').replace(/^a7/, `a767${text('version')}01`) },
    { why: 'a key twice', code: 'malformed-message', bytes: `a8${hex(settle).slice(2)}67${text('version')}01` },
    { why: 'a tag', code: 'malformed-message', bytes: `c1${hex(settle)}` },
    { why: 'a length beyond the end', code: 'malformed-message', bytes: '9b001fffffffffffff' },
    { why: 'text that is not UTF-8', code: 'malformed-message', bytes: hex(ask).replace(text('TOKEN'), `${text('TOKE')}ff`) },
    { why: 'text that is cut inside a character', code: 'malformed-message', bytes: hex(ask).replace(`64${text('none')}`, `64${text('non')}c3`) },
    { why: '33 levels', code: 'message-too-large', bytes: `${'81'.repeat(33)}80` },
    { why: 'an unknown type', code: 'unknown-message', bytes: hex(encode({ ...envelope, type: 'constructor' })) },
    { why: 'an unknown field', code: 'malformed-message', bytes: hex(encode({ ...envelope, more: 1 })) },
    { why: 'an unknown field in the body', code: 'malformed-message', bytes: hex(encode({ ...envelope, body: { ...envelope.body, more: 1 } })) },
    { why: 'a field missing', code: 'malformed-message', bytes: hex(encode({ ...envelope, body: {} })) },
    { why: 'a signature on a message that has none', code: 'malformed-message', bytes: hex(encode({ ...envelope, signature: new Uint8Array(64) })) },
    { why: 'another network', code: 'wrong-network', bytes: hex(encode({ ...envelope, network: 'other' })) },
    { why: 'another recipient', code: 'wrong-recipient', bytes: hex(encode({ ...envelope, to: requester.nodeId })) },
    { why: 'another sender', code: 'wrong-sender', bytes: hex(encode({ ...envelope, from: compute.nodeId })) },
    { why: 'a signed message without its signature', code: 'bad-signature', bytes: hex(encode({ version: 1, ...sampleDraft('award') })) },
    { why: 'a signature of 63 bytes', code: 'bad-signature', bytes: hex(encode({ version: 1, ...sampleDraft('award'), signature: new Uint8Array(63) })) },
    { why: "another node's signature", code: 'bad-signature', bytes: hex(encodeMessage(sampleDraft('award'), compute.sign)) },
    {
      why: 'a bit of the signature flipped',
      code: 'bad-signature',
      bytes: flipped(award, Buffer.from(award).indexOf(requester.sign(signedBytes(sampleDraft('award') as AnyDraft)))),
    },
    { why: 'a body that was not signed', code: 'bad-signature', bytes: hex(encode({ ...received, body: { ...received.body, execution: 'other' } })) },
    {
      why: 'another incarnation than the signed one',
      code: 'bad-signature',
      bytes: hex(encode({ ...received, incarnation: { counter: 4, id: '0123456789abcdef' } })),
    },
  ]
  return { about: 'Received by `self` on the network `network` from the node `from`, each of these is refused with this code.', ...receiver, cases }
}

const executionIds = () => ({
  about:
    'base32 (RFC 4648, lower case) of the first 20 bytes of SHA-256 of the canonical form of [skrei/execution/1, network, requester, compute, askId, index].',
  cases: [0, 1, 23, 24, 1_000_000].flatMap((index) =>
    ['ask-1', '01890a5d-ac96-774b-bcce-b302099a8057'].map((askId) => {
      const origin = { network, requester: requester.nodeId, compute: compute.nodeId, askId, index }
      return { ...origin, executionId: executionId(origin) }
    }),
  ),
})

const merkle = () => {
  // The leaves that Certificate Transparency implementations test with.
  const leaves = ['', '00', '10', '2021', '3031', '40414243', '5051525354555657', '606162636465666768696a6b6c6d6e6f'].map(bytes)
  return {
    about: 'RFC 6962 section 2.1 over SHA-256, all in hexadecimal: `roots[n]` is that of the first n leaves, `proofs` are of all eight.',
    leaves: leaves.map(hex),
    roots: [...leaves.keys(), leaves.length].map((size) => hex(merkleRoot(leaves.slice(0, size)))),
    proofs: leaves.map((_, index) => ({ index, size: leaves.length, proof: inclusionProof(leaves, index).map(hex) })),
  }
}

/** The query for a part of a node's directory: its body, the frames of its answer, and what of both is refused. */
const samples = () => {
  const [request, head] = [sampleRequests[0], sampleHeads[0]]
  if (request === undefined || head === undefined) throw new Error('no samples')
  const frames = [encodeSampleHead(head), encodeAnnouncement(sampleAnnouncement, compute.sign)]
  const own = { version: 1, network, peers: 1, some: [], sees: [] }
  const asking = { version: 1, network, most: 1, about: [] }
  const refusedRequests = [
    { why: 'version 2', code: 'unsupported-version', bytes: hex(encode({ ...asking, version: 2 })) },
    { why: 'another network', code: 'wrong-network', bytes: hex(encode({ ...asking, network: 'other' })) },
    { why: 'more announcements than an answer has', code: 'malformed-message', bytes: hex(encode({ ...asking, most: 33 })) },
    { why: 'more nodes than a request may ask about', code: 'malformed-message', bytes: hex(encode({ ...asking, about: Array(65).fill(compute.nodeId) })) },
    { why: 'an unknown field', code: 'malformed-message', bytes: hex(encode({ ...asking, more: 1 })) },
    { why: 'a field missing', code: 'malformed-message', bytes: hex(encode({ version: 1, network, most: 1 })) },
    { why: 'a byte after the end', code: 'malformed-message', bytes: `${hex(encodeSampleRequest(request))}00` },
    { why: 'nothing', code: 'malformed-message', bytes: '' },
  ]
  const refusedHeads = [
    { why: 'version 2', code: 'unsupported-version', bytes: hex(encode({ ...own, version: 2 })) },
    { why: 'another network', code: 'wrong-network', bytes: hex(encode({ ...own, network: 'other' })) },
    { why: 'more peers named than allowed', code: 'malformed-message', bytes: hex(encode({ ...own, some: Array(9).fill(compute.nodeId) })) },
    { why: 'a number of peers below 0', code: 'malformed-message', bytes: hex(encode({ ...own, peers: -1 })) },
  ]
  const answer = Buffer.concat(frames.map(frame))
  return {
    about:
      '`protocol` is the query; a request is its body. An answer is frames, each with its length before it in four bytes, big-endian: the head, then announcements, `most` of the request at most. In hexadecimal.',
    protocol: sampleProtocol,
    network,
    requests: sampleRequests.map((one) => ({ request: one, bytes: hex(encodeSampleRequest(one)) })),
    heads: sampleHeads.map((one) => ({ head: one, bytes: hex(encodeSampleHead(one)) })),
    answers: [{ most: 1, bytes: hex(answer), frames: frames.map(hex) }],
    refused: {
      requests: refusedRequests,
      heads: refusedHeads,
      answers: [
        { why: 'cut short', code: 'malformed-message', most: 2, bytes: hex(answer.subarray(0, -1)) },
        { why: 'a frame longer than an announcement', code: 'message-too-large', most: 2, bytes: `${hex(answer)}00ffffff00` },
      ],
    },
  }
}

/** The query for what an execution writes to its streams: its body, its answer, and what of both is refused. */
const logs = () => {
  const request: LogRequest = { network, execution: 'x', from: { stdout: 0, stderr: 4096 }, follow: true }
  const asking = { version: 1, ...request }
  const [text, other] = ['one ', 'oh'].map((part) => new TextEncoder().encode(part))
  if (text === undefined || other === undefined) throw new Error('no texts')
  const answer = Buffer.concat([encodeLogFrame('stdout', text), encodeLogFrame('stderr', other), encodeLogFrame('stdout', text), encodeLogEnd('over')])
  return {
    about:
      '`protocol` is the query; a request is its body. An answer is frames: a byte for what it is (1 stdout, 2 stderr, 0 the end with its reason), four bytes of length, big-endian, and so many bytes. In hexadecimal.',
    protocol: logsProtocol,
    network,
    requests: [request, { ...request, from: { stderr: 7 }, follow: false }].map((one) => ({ request: one, bytes: hex(encodeLogRequest(one)) })),
    answers: [{ bytes: hex(answer), stdout: hex(Buffer.concat([text, text])), stderr: hex(other), end: 'over' }],
    refused: {
      requests: [
        { why: 'version 2', code: 'unsupported-version', bytes: hex(encode({ ...asking, version: 2 })) },
        { why: 'another network', code: 'wrong-network', bytes: hex(encode({ ...asking, network: 'other' })) },
        { why: 'no stream', code: 'malformed-message', bytes: hex(encode({ ...asking, from: {} })) },
        { why: 'before the first byte', code: 'malformed-message', bytes: hex(encode({ ...asking, from: { stdout: -1 } })) },
        { why: 'an unknown stream', code: 'malformed-message', bytes: hex(encode({ ...asking, from: { evidence: 0 } })) },
        { why: 'a byte after the end', code: 'malformed-message', bytes: `${hex(encodeLogRequest(request))}00` },
      ],
      answers: [
        { why: 'no last frame', code: 'malformed-message', bytes: hex(encodeLogFrame('stdout', text)) },
        { why: 'cut short', code: 'malformed-message', bytes: hex(answer.subarray(0, -1)) },
        { why: 'a frame of no bytes', code: 'malformed-message', bytes: '0100000000' },
        { why: 'a frame of too many', code: 'malformed-message', bytes: '0100010001' },
        { why: 'another kind', code: 'malformed-message', bytes: '030000000141' },
      ],
    },
  }
}

/** Every file of test-vectors, by name. */
export const vectorFiles = (): Readonly<Record<string, unknown>> => ({
  'node-ids.json': nodeIds(),
  'messages.json': messages(),
  'refused.json': refused(),
  'execution-ids.json': executionIds(),
  'merkle.json': merkle(),
  'samples.json': samples(),
  'logs.json': logs(),
})

if (import.meta.main) {
  for (const [name, content] of Object.entries(vectorFiles()))
    writeFileSync(new URL(`../test-vectors/${name}`, import.meta.url), `${JSON.stringify(content, null, 2)}\n`)
}
