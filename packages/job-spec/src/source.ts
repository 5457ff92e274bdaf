import { base36 } from 'multiformats/bases/base36'
import { CID } from 'multiformats/cid'
import * as z from 'zod'
import { hostPathSchema } from './path.ts'
import { rule } from './rule.ts'

const sha256 = z
  .string()
  .regex(/^[0-9a-f]{64}$/, 'expected 64 lower-case hexadecimal digits')
  .meta({ title: 'SHA-256', description: 'SHA-256 of the one file, in lower-case hexadecimal; data that does not match is refused.' })
const httpUrl = z.url({ protocol: /^https?$/, error: 'expected an http or https URL' }).max(8192)

const isCid = (text: string): boolean => {
  try {
    if (text.startsWith('k')) CID.parse(text, base36)
    else CID.parse(text)
    return true
  } catch {
    return false
  }
}

type Source = { readonly url?: string; readonly urls?: readonly string[]; readonly sha256?: string; readonly text?: string; readonly base64?: string }

/** Exactly one of two keys. */
const eitherOf = (left: keyof Source, right: keyof Source) =>
  rule<Source>([left, right], (source) => {
    if ((source[left] === undefined) !== (source[right] === undefined)) return []
    return source[left] === undefined
      ? [{ path: [], code: 'missing-key', message: `there is neither \`${left}\` nor \`${right}\`: give one of them` }]
      : [{ path: [right], message: `\`${left}\` and \`${right}\` are both there: give one of them` }]
  })

const oneOf = (...keys: string[]) => ({ oneOf: keys.map((key) => ({ required: [key] })) })

export const httpsSourceSchema = z
  .strictObject({
    type: z.literal('https').meta({ title: 'Type', description: 'Fetched over HTTP or HTTPS.' }),
    url: httpUrl.meta({ title: 'URL', description: 'The address of the one file.' }).exactOptional(),
    urls: z.array(httpUrl).min(1).max(1_000_000).meta({ title: 'URLs', description: 'The addresses of the files.' }).exactOptional(),
    sha256: sha256.exactOptional(),
  })
  .check(
    eitherOf('url', 'urls'),
    rule<Source>(['url', 'urls', 'sha256'], (source) =>
      source.sha256 !== undefined && source.urls !== undefined
        ? [{ path: ['sha256'], message: '`sha256` pins one file: it goes with `url`, not with `urls`' }]
        : [],
    ),
  )
  .meta({ title: 'HTTPS source', ...oneOf('url', 'urls') })
export const ipfsSourceSchema = z
  .strictObject({
    type: z.literal('ipfs').meta({ title: 'Type', description: 'A file or directory of IPFS.' }),
    cid: z
      .string()
      .min(1)
      .max(256)
      .refine(isCid, 'expected a CID such as bafybei… or Qm…')
      .meta({ title: 'CID', description: 'Content identifier of the file or directory.' }),
    sha256: sha256.exactOptional(),
  })
  .meta({ title: 'IPFS source' })
export const localSourceSchema = z
  .strictObject({
    type: z.literal('local').meta({ title: 'Type', description: 'A file or directory of the node that runs the job.' }),
    path: hostPathSchema.meta({ title: 'Path', description: 'Relative to the job file, or absolute; a node opens only the directories that it allows.' }),
    sha256: sha256.exactOptional(),
  })
  .meta({ title: 'Local source' })
export const inlineSourceSchema = z
  .strictObject({
    type: z.literal('inline').meta({ title: 'Type', description: 'The content of one file, in the job file itself.' }),
    text: z.string().meta({ title: 'Text', description: 'The content as text, in UTF-8.' }).exactOptional(),
    base64: z.base64({ error: 'expected base64 with padding' }).meta({ title: 'Base64', description: 'The content in base64.' }).exactOptional(),
    sha256: sha256.exactOptional(),
  })
  .check(eitherOf('text', 'base64'))
  .meta({ title: 'Inline source', ...oneOf('text', 'base64') })

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
