// Rewrites test-vectors/*.json: `pnpm vectors`. The test compares: these bytes never change within version 1.

import { createHash } from 'node:crypto'
import { writeFileSync } from 'node:fs'
import type { TreeEntry } from '@skrei/job-spec'
import { identityFrom } from '@skrei/protocol'
import { commitment, commitmentBytes, type Opening, resultTree } from '../src/index.ts'

const hex = (bytes: Uint8Array): string => Buffer.from(bytes).toString('hex')

/** A file as a vector names it: its content in hexadecimal. */
export interface VectorFile {
  readonly path: string
  readonly content: string
}

/** The files of a vector as a workspace would give them. */
export async function* entriesOf(files: readonly VectorFile[]): AsyncGenerator<TreeEntry> {
  for (const { path, content } of files) {
    const bytes = new Uint8Array(Buffer.from(content, 'hex'))
    yield {
      path,
      size: bytes.length,
      async *open() {
        yield bytes
      },
    }
  }
}

const file = (path: string, content: string): VectorFile => ({ path, content: Buffer.from(content).toString('hex') })
const stdout = createHash('sha256').update('horses: 7\n').digest('hex')

const results: readonly { readonly about: string; readonly files: readonly VectorFile[]; readonly exit: number; readonly stdout?: string }[] = [
  { about: 'nothing at all', files: [], exit: 0 },
  { about: 'an exit code alone', files: [], exit: 7 },
  { about: 'a negative exit code', files: [], exit: -1 },
  { about: 'the same 32 bits, read as unsigned', files: [], exit: 4_294_967_295 },
  { about: 'standard output that belongs to the result', files: [], exit: 0, stdout },
  { about: 'one empty file', files: [file('empty', '')], exit: 0 },
  {
    about: 'the order of bytes: "-" before "/", capitals before small letters',
    files: [file('B', '1'), file('a-b', '2'), file('a/b', '3'), file('a/c/d', '4'), file('ab', '5')],
    exit: 0,
  },
  { about: 'the order of bytes beyond U+FFFF, which is not that of UTF-16', files: [file('\u{ff5e}', 'one'), file('\u{1f434}', 'two')], exit: 0, stdout },
  { about: 'a hundred files', files: Array.from({ length: 100 }, (_, index) => file(`part-${String(index).padStart(3, '0')}`, `${index}`)), exit: 0 },
]

const digit = (value: string): string => value.repeat(64)
const opening: Opening = {
  network: 'vectors',
  job: '01890a5d-ac96-774b-bcce-b302099a8000',
  spec: 'bafyreigh2akiscaildcqabsyg3dfr6chu3fgpregiymsck7e7aqa4s52zy',
  manifest: 'bafyreihdwdcefgh4dqkjv67uzcmw7ojee6xedzdetojuzjevtenxquvyku',
  execution: 'abcdefghijklmnopqrstuvwxyz234567',
  node: identityFrom(new Uint8Array(32).fill(2)).nodeId,
  engine: 'wasm 1',
  salt: digit('a'),
  digest: digit('b'),
  shard: 7,
  attempt: 0,
  exit: 0,
}

const openings: readonly { readonly about: string; readonly opening: Opening }[] = [
  { about: 'no roots, not metered', opening },
  {
    about: 'every field',
    opening: { ...opening, traceRoot: digit('c'), evidenceRoot: digit('d'), shard: 4_294_967_295, attempt: 3, exit: -1, fuel: 18_446_744_073_709_551_614n },
  },
  { about: 'metered, and nothing used', opening: { ...opening, exit: 255, fuel: 0n } },
]

/** Every file of test-vectors, by name. */
export const vectorFiles = async (): Promise<Readonly<Record<string, unknown>>> => ({
  'results.json': {
    about: 'Contents in hexadecimal; stdout: SHA-256 of the standard output.',
    cases: await Promise.all(
      results.map(async (result) => ({
        ...result,
        result: await resultTree(entriesOf(result.files), result.exit, result.stdout === undefined ? {} : { stdout: result.stdout }),
      })),
    ),
  },
  'commitments.json': {
    about: 'fuel in decimal; bytes: the 404 bytes that the commitment is the SHA-256 of; all in hexadecimal.',
    cases: openings.map((vector) => ({
      about: vector.about,
      opening: { ...vector.opening, ...(vector.opening.fuel !== undefined && { fuel: String(vector.opening.fuel) }) },
      bytes: hex(commitmentBytes(vector.opening)),
      commitment: hex(commitment(vector.opening)),
    })),
  },
})

if (import.meta.main) {
  for (const [name, content] of Object.entries(await vectorFiles()))
    writeFileSync(new URL(`../test-vectors/${name}`, import.meta.url), `${JSON.stringify(content, null, 2)}\n`)
}
