import { type FailureCode, failures, type RefusalCode, refusals } from '@skrei/job-spec'
import fc from 'fast-check'
import type { Announcement, AnyDraft, Body, Hint, MessageType } from '../src/index.ts'
import { compute, messageTypes, network, requester, sampleBodies, sampleDraft } from './samples.ts'

const digits = (length: number) => fc.string({ unit: fc.constantFrom(...'0123456789abcdef'), minLength: length, maxLength: length })
const id = fc.string({ unit: fc.integer({ min: 0x21, max: 0x7e }).map((code) => String.fromCharCode(code)), minLength: 1, maxLength: 40 })
const digest = digits(64)
// Any text but lone surrogates, which UTF-8 cannot say; a byte order mark in front now and then, which readers like to lose.
const text = fc.tuple(fc.constantFrom('', '\ufeff'), fc.string({ unit: 'binary', maxLength: 40 })).map(([mark, rest]) => mark + rest)
const count = fc.maxSafeNat()
// DAG-CBOR has one zero.
const number = (max: number) => fc.oneof(fc.nat(Math.min(max, 2 ** 31 - 1)), fc.double({ min: 0, max, noNaN: true })).map((value) => value + 0)
const duration = number(315_360_000_000)
const amount = number(Number.MAX_VALUE)
const bytes = (length: number) => fc.uint8Array({ minLength: length, maxLength: length })
const cid = text.map((value) => `b${value}`)
const maybe = <Value>(fields: { [Key in keyof Value]: fc.Arbitrary<Value[Key]> }) => fc.record(fields, { requiredKeys: [] }) as fc.Arbitrary<Partial<Value>>
const merged = <A extends object, B extends object>(required: fc.Arbitrary<A>, optional: fc.Arbitrary<B>) =>
  fc.tuple(required, optional).map(([a, b]) => ({ ...a, ...b }))

const failure = fc.record({ code: fc.constantFrom(...(Object.keys(failures) as FailureCode[])), detail: text })
const refusal = merged(
  fc.record({ code: fc.constantFrom(...(Object.keys(refusals) as RefusalCode[])), detail: text }),
  maybe({ resource: fc.constantFrom('cpu', 'memory', 'disk', 'gpu'), wanted: amount, available: amount }),
)
const usage = maybe({ wallMs: amount, cpuMs: amount, memoryPeak: amount, inputBytes: amount, outputBytes: amount })
const capacity = fc.record({ cpu: amount, memory: amount, disk: amount })
const exit = fc.integer({ min: -(2 ** 31), max: 2 ** 32 - 1 })
// What an engine of somebody else's may carry: JSON of any shape, nested, keys of any kind.
const jsonNumber = fc.oneof(fc.maxSafeInteger(), fc.double({ min: -(2 ** 50), max: 2 ** 50, noNaN: true })).map((value) => value + 0)
// job-spec takes no byte order mark in it.
const unmarked = text.map((value) => value.replace(/^\ufeff+/, ''))
const opaque = fc.letrec((tie) => ({
  value: fc.oneof({ depthSize: 'small' }, fc.constant(null), fc.boolean(), jsonNumber, unmarked, tie('list'), tie('map')),
  list: fc.array(tie('value'), { maxLength: 4 }),
  map: fc.dictionary(
    unmarked.filter((key) => key !== '__proto__'),
    tie('value'),
    { maxKeys: 4, noNullPrototype: true },
  ),
})).value
const engine = fc.oneof(
  fc.constant(sampleBodies.ask.task.engine),
  fc.record({ type: fc.constant('acme.dev/toy'), opaque }),
  merged(
    fc.record({ type: fc.constant('noop' as const) }),
    maybe({ duration: fc.integer({ min: 1, max: 1e9 }), exit: fc.nat(255), stdout: text, stderr: text }),
  ),
)
const source = fc.oneof(
  fc.record({ type: fc.constant('inline' as const), text }),
  fc.record({ type: fc.constant('ipfs' as const), cid: fc.constant(sampleBodies.ask.shard.manifest) }),
  fc.record({ type: fc.constant('local' as const), path: fc.stringMatching(/^[a-z]{1,9}(\/[a-z]{1,9}){0,3}$/) }),
)
const file = merged(fc.record({ path: cid, source }), maybe({ size: count, hash: digest, alone: fc.constant(true as const) }))
const task = fc
  .tuple(
    engine,
    fc.dictionary(
      fc.stringMatching(/^[A-Z_][A-Z0-9_]{0,8}$/),
      fc.oneof(
        text.map((value) => value.replaceAll('\0', '')),
        fc.record({ secret: fc.stringMatching(/^[a-z]{1,20}$/) }),
      ),
    ),
    capacity,
    fc.nat(1024),
  )
  .map(([chosen, env, resources, gpus]) => ({
    ...sampleBodies.ask.task,
    engine: chosen,
    env: { ...env },
    resources: { ...resources, gpu: { count: gpus } },
  }))
const terms = fc.record({
  queue: duration,
  lease: fc.option(duration),
  publishers: fc.array(fc.record({ type: fc.constantFrom('ipfs', 'local', 'none') }), { maxLength: 8 }),
  verification: text,
  constraints: fc.array(fc.constantFrom('region in (eu, us)', '!spot', 'tier=gold', 'example.org/disk'), { maxLength: 5 }),
  publish: duration,
  retention: duration,
})

const arbitraryBodies: { readonly [T in MessageType]: fc.Arbitrary<Body<T>> } = {
  ask: fc.record({
    askId: id,
    job: id,
    task,
    shard: merged(fc.record({ index: count, count, manifest: cid }), maybe({ files: fc.array(file, { maxLength: 5 }) })),
    terms,
  }),
  bid: fc.record({ askId: id, execution: id, ttl: duration }),
  decline: merged(fc.record({ askId: id, refusals: fc.array(refusal, { minLength: 1, maxLength: 5 }) }), maybe({ free: capacity, retryAfter: duration })),
  award: fc.record({ askId: id, execution: id }),
  awarded: fc.record({ execution: id }),
  refused: fc.record({ execution: id, code: fc.constantFrom('expired', 'released', 'unknown', 'stopped') }),
  release: fc.record({ askId: id, execution: id }),
  finished: merged(
    fc.record({
      execution: id,
      usage,
      facts: fc.dictionary(
        text.map((value) => value.slice(0, 30)).filter((key) => key !== '__proto__' && key.isWellFormed()),
        text,
        { noNullPrototype: true },
      ),
    }),
    maybe({ digest, exit, failure }),
  ),
  commit: fc.record({ execution: id, round: count, commitment: digest }),
  receipt: fc.record({ execution: id, round: count, commitment: digest }),
  open: fc.record({
    execution: id,
    round: count,
    seats: fc.array(id, { maxLength: 5 }),
    draw: fc.record({ seed: digest, bidSetRoot: digest }),
    commitments: fc.array(fc.record({ execution: id, commitment: digest, signature: bytes(64) }), { maxLength: 5 }),
    commitSetRoot: digest,
  }),
  'open-refused': fc.record({ execution: id, round: count, code: fc.constantFrom('early', 'bad-set') }),
  reveal: fc.record({ execution: id, round: count, digest, salt: digest, exit, usage, traceRoot: digest, evidenceRoot: digest, commitSetRoot: digest }),
  abstain: fc.record({ execution: id, round: count, failure }),
  verdict: fc.record({
    execution: id,
    round: count,
    verdict: fc.constantFrom('accepted', 'rejected', 'void'),
    epoch: count,
    act: fc.constantFrom('publish', 'hold', 'drop'),
    assurance: fc.constantFrom('refereed', 'quorum', 'economic', 'attested', 'none'),
  }),
  published: merged(
    fc.record({ execution: id, round: count, epoch: count, reference: merged(fc.record({ type: cid }), maybe({ cid, path: text })) }),
    maybe({ digest }),
  ),
  superseded: fc.record({ execution: id, epoch: count }),
  'publish-failed': fc.record({ execution: id, epoch: count, failure }),
  stop: fc.record({ execution: id, reason: fc.constantFrom('cancel', 'lost', 'superseded') }),
  stopped: fc.record({ execution: id, phase: text }),
  settle: fc.record({ execution: id }),
}

const incarnation = fc.record({ counter: fc.maxSafeNat().map((value) => Math.max(1, value)), id: digits(16) })

/** A draft of one type, between the two sample nodes. */
export const arbitraryDraft = <T extends MessageType>(type: T): fc.Arbitrary<AnyDraft> =>
  fc.tuple(arbitraryBodies[type], incarnation).map(([body, from]) => ({ ...sampleDraft(type, body as Body<T>), incarnation: from }) as AnyDraft)

/** A draft of any type. */
export const anyDraft = fc.oneof(...messageTypes.map(arbitraryDraft))

export const anyHint: fc.Arbitrary<Hint> = fc.oneof(
  fc.record({
    type: fc.constant('alive' as const),
    network: fc.constant(network),
    incarnation,
    counter: count,
    executions: fc.array(
      merged(
        fc.record({ id, phase: fc.constantFrom('queued', 'reserved', 'staging', 'running', 'finished', 'publishing', 'published') }),
        maybe({ fraction: number(1) }),
      ),
      { maxLength: 5 },
    ),
  }),
  fc.record({
    type: fc.constant('lease' as const),
    network: fc.constant(network),
    incarnation,
    counter: count,
    lease: duration,
    stop: fc.array(id, { maxLength: 5 }),
  }),
)

export const anyAnnouncement: fc.Arbitrary<Announcement> = fc.record({
  network: fc.constant(network),
  node: fc.constantFrom(compute.nodeId, requester.nodeId),
  incarnation,
  counter: count,
  issuedAt: number(Number.MAX_SAFE_INTEGER),
  ttl: duration,
  engines: fc.array(fc.record({ name: text, version: text }), { maxLength: 5 }),
  sources: fc.array(text, { maxLength: 5 }),
  publishers: fc.array(text, { maxLength: 5 }),
  capacity,
  free: capacity,
  devices: fc.array(merged(fc.record({ id: cid, kind: fc.constant('gpu' as const) }), maybe({ vendor: text, model: text, memory: amount })), { maxLength: 3 }),
  labels: fc.dictionary(id, text, { noNullPrototype: true, maxKeys: 8 }),
})
