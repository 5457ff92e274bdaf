import type { Announcement, AnyDraft, Body, Draft, Hint, MessageType, SampleHead, SampleRequest } from '../src/index.ts'
import { bodies, executionId, identityFrom } from '../src/index.ts'

export const network = 'vectors'
export const requester = identityFrom(new Uint8Array(32).fill(1))
export const compute = identityFrom(new Uint8Array(32).fill(2))
const requesterIncarnation = { counter: 3, id: '0123456789abcdef' }
const computeIncarnation = { counter: 1, id: 'fedcba9876543210' }

const askId = '01890a5d-ac96-774b-bcce-b302099a8057'
const execution = executionId({ network, requester: requester.nodeId, compute: compute.nodeId, askId, index: 7 })
const hex = (byte: string) => byte.repeat(32)
const usage = { wallMs: 12.5, cpuMs: 11, memoryPeak: 1_048_576, inputBytes: 4096, outputBytes: 17 }
const failure = { code: 'exit-nonzero', detail: 'exit code 7: “außen” \ufeff' } as const
const manifest = 'bafyreigh2akiscaildcqabsyg3dfr6chu3fgpregiymsck7e7aqa4s52zy'

/** A body of every type, each field that may be there present somewhere. */
export const sampleBodies: { readonly [T in MessageType]: Body<T> } = {
  ask: {
    askId,
    job: '01890a5d-ac96-774b-bcce-b302099a8000',
    task: {
      specCid: manifest,
      engine: { type: 'wasm', module: { type: 'https', url: 'https://example.org/count.wasm', sha256: hex('ab') }, args: ['/inputs', '/outputs'] },
      env: { LOCALE: 'C', TOKEN: { secret: 'token' } },
      outputs: [{ name: 'counts', path: '/outputs' }],
      resources: { cpu: 500, memory: 536_870_912, disk: 1_073_741_824, gpu: { count: 0 } },
      limits: { stdout: 1_048_576, stderr: 1_048_576, files: 100_000 },
      network: { mode: 'none' },
      timeout: 600_000,
    },
    shard: {
      index: 7,
      count: 8,
      manifest,
      files: [{ path: 'inputs/a.csv', source: { type: 'https', url: 'https://example.org/a.csv' }, size: 4096, hash: hex('cd'), alone: true }],
    },
    terms: {
      queue: 300_000,
      lease: 30_000,
      publishers: [{ type: 'ipfs' }],
      verification: 'none',
      constraints: ['region in (eu, us)', '!spot'],
      publish: 60_000.5,
      retention: 3_600_000,
    },
  },
  bid: { askId, execution, ttl: 5000 },
  decline: {
    askId,
    refusals: [{ code: 'busy', detail: '512 MiB free of 2 GiB asked', resource: 'memory', wanted: 2_147_483_648, available: 536_870_912 }],
    free: { cpu: 250, memory: 536_870_912, disk: 0 },
    retryAfter: 1234.5,
  },
  award: { askId, execution },
  awarded: { execution },
  refused: { execution, code: 'expired' },
  release: { askId, execution },
  finished: { execution, digest: hex('11'), exit: 7, failure, usage, facts: { engine: 'wasm 1', module: 'sha256' }, logs: { type: 'ipfs', cid: manifest } },
  commit: { execution, round: 1, commitment: hex('22') },
  receipt: { execution, round: 1, commitment: hex('22') },
  open: {
    execution,
    round: 1,
    seats: [compute.nodeId],
    draw: { seed: hex('33'), bidSetRoot: hex('44') },
    commitments: [{ execution, commitment: hex('22'), signature: new Uint8Array(64).fill(5) }],
    commitSetRoot: hex('55'),
  },
  'open-refused': { execution, round: 1, code: 'early' },
  reveal: {
    execution,
    round: 1,
    digest: hex('11'),
    salt: hex('66'),
    exit: -1,
    usage: {},
    traceRoot: hex('00'),
    evidenceRoot: hex('00'),
    commitSetRoot: hex('55'),
  },
  abstain: { execution, round: 1, failure },
  verdict: { execution, round: 1, verdict: 'accepted', epoch: 2, act: 'publish', assurance: 'quorum' },
  published: { execution, round: 1, epoch: 2, digest: hex('11'), reference: { type: 'ipfs', cid: manifest } },
  superseded: { execution, epoch: 2 },
  'publish-failed': { execution, epoch: 2, failure },
  stop: { execution, reason: 'cancel' },
  stopped: { execution, phase: 'running', logs: { type: 'ipfs', cid: manifest } },
  settle: { execution },
}

const fromRequester: ReadonlySet<MessageType> = new Set<MessageType>(['ask', 'award', 'release', 'receipt', 'open', 'verdict', 'superseded', 'stop', 'settle'])

export const messageTypes = Object.keys(bodies) as readonly MessageType[]

/** The signer of a draft of these two nodes. */
export const signerOf = (draft: Pick<AnyDraft, 'from'>) => (draft.from === requester.nodeId ? requester : compute)

export const sampleDraft = <T extends MessageType>(type: T, body: Body<T> = sampleBodies[type]): Draft<T> =>
  fromRequester.has(type)
    ? { network, from: requester.nodeId, to: compute.nodeId, incarnation: requesterIncarnation, type, body }
    : { network, from: compute.nodeId, to: requester.nodeId, incarnation: computeIncarnation, type, body }

export const sampleDrafts: readonly AnyDraft[] = messageTypes.map((type) => sampleDraft(type) as AnyDraft)

export const sampleHints: readonly Hint[] = [
  { type: 'alive', network, incarnation: computeIncarnation, counter: 41, executions: [{ id: execution, phase: 'running', fraction: 0.25 }] },
  { type: 'lease', network, incarnation: requesterIncarnation, counter: 41, lease: 30_000, stop: [execution] },
]

export const sampleRequests: readonly SampleRequest[] = [
  { network, most: 32, engine: 'wasm', about: [requester.nodeId, compute.nodeId] },
  { network, most: 0, about: [] },
]

export const sampleHeads: readonly SampleHead[] = [
  { network, peers: 12, some: [requester.nodeId], sees: [compute.nodeId] },
  { network, peers: 0, some: [], sees: [] },
]

export const sampleAnnouncement: Announcement = {
  network,
  node: compute.nodeId,
  incarnation: computeIncarnation,
  counter: 12,
  issuedAt: 1_800_000_000_000,
  ttl: 60_000,
  engines: [{ name: 'wasm', version: '1' }],
  sources: ['https', 'ipfs'],
  publishers: ['ipfs'],
  capacity: { cpu: 8000, memory: 17_179_869_184, disk: 107_374_182_400 },
  free: { cpu: 7500, memory: 16_642_998_272, disk: 106_300_440_576 },
  devices: [{ id: 'GPU-0', kind: 'gpu', vendor: 'nvidia', model: 'A100', memory: 85_899_345_920 }],
  labels: { region: 'eu' },
}
