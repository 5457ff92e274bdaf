import * as z from 'zod'

const sha256 = z.string().regex(/^[0-9a-f]{64}$/, 'expected 64 lower-case hexadecimal digits').describe('SHA-256 of the content, in hexadecimal')
const httpUrl = z.url({ protocol: /^https?$/, error: 'expected an http or https URL' }).max(8192)

export const httpsSourceSchema = z
  .strictObject({
    type: z.literal('https'),
    url: httpUrl.exactOptional(),
    urls: z.array(httpUrl).min(1).max(1_000_000).exactOptional(),
    sha256: sha256.exactOptional(),
  })
  .refine((source) => (source.url === undefined) !== (source.urls === undefined), 'expected either url or urls')
  .refine((source) => source.sha256 === undefined || source.url !== undefined, 'sha256 pins one file: expected url, not urls')
export const ipfsSourceSchema = z.strictObject({ type: z.literal('ipfs'), cid: z.string().min(1).max(256), sha256: sha256.exactOptional() })
export const localSourceSchema = z.strictObject({ type: z.literal('local'), path: z.string().min(1).max(4096), sha256: sha256.exactOptional() })
export const inlineSourceSchema = z
  .strictObject({
    type: z.literal('inline'),
    text: z.string().exactOptional(),
    base64: z.base64().exactOptional(),
    sha256: sha256.exactOptional(),
  })
  .refine((source) => (source.text === undefined) !== (source.base64 === undefined), 'expected either text or base64')

/** Where an input or a module comes from. Each may be pinned by the SHA-256 of its one file. */
export const sourceSchema = z.discriminatedUnion('type', [httpsSourceSchema, ipfsSourceSchema, localSourceSchema, inlineSourceSchema])
export type SourceSpec = z.output<typeof sourceSchema>

/**
 * One file of a source, as planned. From `Source.list`, `path` is relative to the source; in a shard's manifest, relative to the guest's root.
 * `size` in bytes and `hash` (SHA-256, hexadecimal) are absent where unknown. `alone` says that the source *is* this file,
 * not a directory that holds it.
 */
export const fileEntrySchema = z.strictObject({
  path: z.string().min(1).max(4096),
  source: sourceSchema,
  size: z.int().nonnegative().exactOptional(),
  hash: sha256.exactOptional(),
  alone: z.literal(true).exactOptional(),
})
export type FileEntry = z.output<typeof fileEntrySchema>

/** One file of an execution's outputs, with what is needed to read it. `path` is relative, `/`-separated; lists are sorted by its UTF-8 bytes. */
export interface TreeEntry {
  readonly path: string
  readonly size: number
  readonly open: (options?: { readonly signal?: AbortSignal }) => AsyncIterable<Uint8Array>
}

/** Where something was published: what a publisher needs to fetch it again. */
export const referenceSchema = z.strictObject({
  type: z.string().min(1).max(64),
  cid: z.string().max(256).exactOptional(),
  path: z.string().max(4096).exactOptional(),
})
export type Reference = z.output<typeof referenceSchema>
