import { createHash } from 'node:crypto'
import { publicKeyOf } from '@skrei/protocol'
import { VerifierError } from './error.ts'
import { concatenate, digestBytes, exitBytes, unsigned32, unsigned64 } from './fixed-width.ts'
import type { Digest, Seat } from './method.ts'

/** What the first field of a commitment is the SHA-256 of: its version. */
export const commitmentTag = 'skrei/commitment/1'

/** What a commitment fixes, and a reveal shows. */
export interface Opening {
  readonly network: string
  /** The job's id. */
  readonly job: string
  /** CID of the job's canonical form. */
  readonly spec: string
  /** CID of the shard's manifest. */
  readonly manifest: string
  /** The execution's id. */
  readonly execution: string
  /** The node that commits. */
  readonly node: Seat
  /** Name, version and build of the engine that ran it, as its node states them. */
  readonly engine: string
  /** 32 bytes of the system's generator, in hexadecimal: without it a result that is easy to guess could be read from its commitment. */
  readonly salt: Digest
  /** Of the result: see `resultTree`. */
  readonly digest: Digest
  /** Root over the execution's checkpoints, where there are some. */
  readonly traceRoot?: Digest
  /** Root over the execution's resource counters, where they are kept. */
  readonly evidenceRoot?: Digest
  /** The shard's index. */
  readonly shard: number
  /** Which try of the shard this is, from 0. */
  readonly attempt: number
  /** −2^31 to 2^32 − 1. */
  readonly exit: number
  /** Instructions counted; absent = not metered. */
  readonly fuel?: bigint
}

const notMetered = 2n ** 64n - 1n

const sha256 = (value: string | Uint8Array): Uint8Array => new Uint8Array(createHash('sha256').update(value).digest())
const root = (digest: Digest | undefined, field: string): Uint8Array => (digest === undefined ? new Uint8Array(32) : digestBytes(digest, field))

const fuelBytes = (fuel: bigint | undefined): Uint8Array => {
  if (fuel !== undefined && (fuel < 0n || fuel >= notMetered))
    throw new VerifierError('field-invalid', `fuel is ${fuel}, expected a whole number from 0 to 2^64 - 2`)
  return unsigned64(fuel ?? notMetered)
}

// JavaScript's lone surrogates have no UTF-8: hashed, two texts would be one.
const name = (value: string, field: string): Uint8Array => {
  if (!value.isWellFormed()) throw new VerifierError('field-invalid', `${field} is not Unicode text`)
  return sha256(value)
}

/**
 * The 404 bytes that a commitment is the SHA-256 of. Fields of fixed width, one after another, so that a contract can recompute it:
 *
 * | bytes | field |
 * |---|---|
 * | 32 | SHA-256 of the text `skrei/commitment/1` |
 * | 6 × 32 | SHA-256 of the UTF-8 text of: network, job, spec, manifest, execution; then the node's ed25519 public key as it is |
 * | 32 | SHA-256 of the UTF-8 text of the engine |
 * | 4 × 32 | salt, digest, traceRoot, evidenceRoot as they are; a root that is absent is zeros |
 * | 4, 4 | shard, attempt: unsigned, big-endian |
 * | 4 | exit: 32 bits, big-endian |
 * | 8 | fuel: unsigned, big-endian; 2^64 − 1 where it is absent |
 *
 * @throws VerifierError `field-invalid`; ProtocolError `invalid-node-id`
 */
export const commitmentBytes = (opening: Opening): Uint8Array =>
  concatenate([
    sha256(commitmentTag),
    name(opening.network, 'network'),
    name(opening.job, 'job'),
    name(opening.spec, 'spec'),
    name(opening.manifest, 'manifest'),
    name(opening.execution, 'execution'),
    publicKeyOf(opening.node),
    name(opening.engine, 'engine'),
    digestBytes(opening.salt, 'salt'),
    digestBytes(opening.digest, 'digest'),
    root(opening.traceRoot, 'traceRoot'),
    root(opening.evidenceRoot, 'evidenceRoot'),
    unsigned32(opening.shard, 'shard'),
    unsigned32(opening.attempt, 'attempt'),
    exitBytes(opening.exit),
    fuelBytes(opening.fuel),
  ])

/** The commitment to a result: 32 bytes that fix it and, until the salt is known, show nothing of it. See {@link commitmentBytes}. */
export const commitment = (opening: Opening): Uint8Array => sha256(commitmentBytes(opening))
