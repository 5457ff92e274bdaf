import { encode } from '@ipld/dag-cbor'
import { CID } from 'multiformats/cid'
import { create } from 'multiformats/hashes/digest'
import { createHash } from 'node:crypto'
import type { JobSpec } from './job.ts'

const sha256Code = 0x12
const dagCborCode = 0x71

/** The CID (v1, dag-cbor, sha2-256) of a value's canonical DAG-CBOR form. */
export const cidOf = (value: unknown): string =>
  CID.createV1(dagCborCode, create(sha256Code, createHash('sha256').update(encode(value)).digest())).toString()

/** The CID of a job's canonical form: the same on every machine, whatever the key order or the file format. */
export const specCid = (spec: JobSpec): string => cidOf(spec)
