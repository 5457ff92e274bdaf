import { createHash } from 'node:crypto'
import { FailureError, type SourceSpec } from '@skrei/job-spec'
import type { Source } from './index.ts'
import { checkHash, checkSize, tooLarge, writeFile } from './local/write-file.ts'

export interface InlineSourceOptions {
  /** The most bytes that one inline source may hold. Default 1 MiB. */
  readonly maxBytes?: number
}

const what = 'the inline source'
const base64 = /^[A-Za-z0-9+/]*={0,2}$/

const decode = (source: SourceSpec, maxBytes: number): Uint8Array => {
  if (source.type !== 'inline') throw new FailureError('source-invalid', `the inline driver was given a source of type ${source.type}`)
  const { text, base64: encoded } = source
  if ((text === undefined) === (encoded === undefined)) throw new FailureError('source-invalid', `${what} has either text or base64`)
  if (text !== undefined) {
    if (text.length > maxBytes || Buffer.byteLength(text) > maxBytes) throw tooLarge(maxBytes, what)
    if (!text.isWellFormed()) throw new FailureError('source-invalid', `${what} holds text that is not well-formed: use base64`)
    return Buffer.from(text)
  }
  const characters = encoded ?? ''
  if (Buffer.byteLength(characters, 'base64') > maxBytes) throw tooLarge(maxBytes, what)
  if (characters.length % 4 !== 0 || !base64.test(characters)) throw new FailureError('source-invalid', `${what} holds something that is not base64`)
  return Buffer.from(characters, 'base64')
}

const sha256 = (bytes: Uint8Array) => createHash('sha256').update(bytes).digest('hex')

/** Content that stands in the job itself, as `text` (UTF-8) or `base64`: one file of the name `inline`. */
export const inlineSource = (options: InlineSourceOptions = {}): Source => {
  const limit = options.maxBytes ?? 1 << 20
  if (!Number.isSafeInteger(limit) || limit < 0) throw new TypeError(`inlineSource: expected maxBytes to be a number of bytes, got ${limit}`)
  return {
    type: 'inline',

    list: async function* (source, { signal } = {}) {
      signal?.throwIfAborted()
      const bytes = decode(source, limit)
      const hash = sha256(bytes)
      checkHash(hash, { maxBytes: limit, hashes: source.sha256 === undefined ? [] : [source.sha256] }, what)
      yield { path: 'inline', source, size: bytes.length, hash, alone: true }
    },

    assess: async (source, { signal } = {}) => {
      signal?.throwIfAborted()
      try {
        return { bytes: decode(source, limit).length, held: true, refusals: [] }
      } catch (error) {
        if (!(error instanceof FailureError)) throw error
        return { held: true, refusals: error.code === 'source-too-large' ? [{ code: 'input-too-large', detail: error.failure.detail }] : [] }
      }
    },

    stage: async function* (file, into, { signal, maxBytes }) {
      signal?.throwIfAborted()
      const bytes = decode(file.source, limit)
      const expected = { maxBytes, size: file.size, hashes: [file.hash, file.source.sha256].filter((hash) => hash !== undefined) }
      if (bytes.length > maxBytes) throw tooLarge(maxBytes, what)
      checkSize(bytes.length, expected, what)
      yield* writeFile(into, [bytes], expected, what)
    },
  }
}
