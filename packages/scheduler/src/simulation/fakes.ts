import { type Capacity, cidOf, type FileEntry, type Reference, type SourceSpec } from '@skrei/job-spec'
import type { PublishedFile, Publisher, Source, Workspace } from '@skrei/storage'

/** What a test may put in the way of what its nodes do; read each time. */
export interface Interference {
  capacity?: Partial<Capacity>
  publish?: (id: string, signal: AbortSignal | undefined) => Promise<void>
  compose?: (id: string, signal: AbortSignal | undefined) => Promise<void>
  stage?: () => Promise<void>
  /** What sources list: so many files with this in their names. */
  list?: () => { readonly count: number; readonly version: string }
  /** Who holds what sources list. */
  holders?: readonly string[]
  /** How long an executor takes from `run` to a process; it does not notice an abort meanwhile. It throws where the engine fails. */
  start?: (execution: string) => Promise<void>
  /** How long an executor takes to stop an execution. It throws where the engine fails. */
  stop?: (execution: string) => Promise<void>
  /** What programs write to their streams besides, so many milliseconds after they began, in this order. */
  lines?: (execution: string) => readonly { readonly after: number; readonly stream: 'stdout' | 'stderr'; readonly text: string }[]
  /** What a program writes where it does not write the same each time: by path, of what its task says. */
  outputs?: (execution: string, files: Readonly<Record<string, string>>) => Readonly<Record<string, string>>
  /** What a publisher writes instead of what it is given. */
  alter?: (execution: string, content: Readonly<Record<string, string>>) => Readonly<Record<string, string>>
  /** How long a fetch of what was published takes. It throws where that cannot be had. */
  fetch?: (signal: AbortSignal | undefined) => Promise<void>
}

/** What of a map of files is not in it: as durable. */
interface Disk {
  readonly sealed: Set<string>
  readonly tails: Set<() => void>
}
const disks = new WeakMap<Map<string, Record<string, string>>, Disk>()

/** Files in a map; contents are the noop engine's. */
export const memoryWorkspace = (files: Map<string, Record<string, string>>): Workspace => {
  const disk = disks.get(files) ?? { sealed: new Set(), tails: new Set() }
  disks.set(files, disk)
  const { sealed, tails } = disk
  const changed = (): void => {
    for (const wake of tails) wake()
  }
  return {
    open: (id) => {
      if (!files.has(id)) files.set(id, {})
      return Promise.resolve({ inputs: `${id}/inputs`, outputs: `${id}/outputs` })
    },
    place: (id, area, path) => Promise.resolve(`${id}/${area}/${path}`),
    locate: (id, area, path) => `${id}/${area}/${path}`,
    receive: (id) => {
      files.set(id, {})
      sealed.delete(id)
      return Promise.resolve(id)
    },
    append: (id, name, offset, bytes) => {
      const held = files.get(id) ?? {}
      files.set(id, { ...held, [name]: (held[name] ?? '').slice(0, offset) + new TextDecoder().decode(bytes) })
      changed()
      return Promise.resolve()
    },
    tail: async function* (id, name, from, { signal }) {
      for (let position = from; signal?.aborted !== true && files.has(id); ) {
        const text = files.get(id)?.[name]?.slice(position) ?? ''
        position += text.length
        if (text !== '') yield new TextEncoder().encode(text)
        else if (sealed.has(id)) return
        else await nextOf(tails, signal)
      }
    },
    seal: (id) => {
      sealed.add(id)
      changed()
      return Promise.resolve()
    },
    toPublish: (id) => {
      if (!files.has(id)) files.set(id, {})
      return Promise.resolve(id)
    },
    entries: async function* (id) {
      const held = files.get(id) ?? {}
      for (const path of Object.keys(held)
        .filter((one) => one.startsWith('outputs/'))
        .sort()) {
        const bytes = new TextEncoder().encode(held[path])
        yield {
          path: path.slice('outputs/'.length),
          size: bytes.length,
          open: async function* () {
            yield bytes
          },
        }
      }
    },
    remove: (id) => {
      files.delete(id)
      sealed.delete(id)
      changed()
      return Promise.resolve()
    },
    leftovers: async function* () {
      yield* [...files.keys()]
    },
  }
}

const nextOf = async (tails: Set<() => void>, signal: AbortSignal | undefined): Promise<void> => {
  const { promise, resolve } = Promise.withResolvers<void>()
  tails.add(resolve)
  signal?.addEventListener('abort', () => resolve(), { once: true })
  await promise
  tails.delete(resolve)
}

/** Lists as many files as the number in an inline source's text says; or one file of that text. */
export const numberedSource = (interference: Interference): Source => ({
  type: 'inline',
  list: async function* (source: SourceSpec) {
    const other = interference.list?.()
    if (other !== undefined) {
      for (let index = 0; index < other.count; index++) yield { path: `${other.version}-${index}.csv`, source, size: 1 } satisfies FileEntry
      return
    }
    const text = source.type === 'inline' ? (source.text ?? '') : ''
    const count = Number(text)
    if (!Number.isInteger(count) || text === '') {
      yield { path: 'inline', source, alone: true, size: text.length } satisfies FileEntry
      return
    }
    for (let index = 0; index < count; index++) yield { path: `${String(index).padStart(6, '0')}.csv`, source, size: 1 } satisfies FileEntry
  },
  assess: () => Promise.resolve({ held: true, refusals: [] }),
  locate: async function* () {
    yield* interference.holders ?? []
  },
  stage: async function* (file) {
    await interference.stage?.()
    yield file.size ?? 0
  },
})

/** What is published stays in `blobs`, under its CID. */
export const memoryPublisher = (
  type: string,
  files: Map<string, Record<string, string>>,
  blobs: Map<string, Readonly<Record<string, string>>>,
  interference: Interference,
  tell: (what: 'published' | 'unpublished', execution: string) => void,
): Publisher => ({
  type,
  publish: async (id, directory, { signal }) => {
    await interference.publish?.(id, signal)
    const given = { ...files.get(directory) }
    const content = interference.alter?.(id, given) ?? given
    const cid = cidOf(content)
    blobs.set(cid, content)
    tell('published', id)
    return { type, cid }
  },
  compose: async (id, entries, { signal }) => {
    await interference.compose?.(id, signal)
    const content: Record<string, string> = {}
    for await (const { path, content: part } of entries) content[path] = await textOf(part)
    const cid = cidOf(content)
    blobs.set(cid, content)
    return { type, cid } satisfies Reference
  },
  fetch: async function* (reference, into, { signal }) {
    await interference.fetch?.(signal)
    const content = { ...blobs.get(reference.cid ?? '') }
    files.set(into, content)
    yield Object.values(content).reduce((bytes, text) => bytes + text.length, 0)
  },
  read: async function* (reference, { path }) {
    const files = new Map(publishedFiles(reference.cid ?? '', blobs))
    for (const one of [...files.keys()].sort(byBytes)) {
      if (path !== undefined && one !== path && !one.startsWith(`${path}/`)) continue
      const bytes = new TextEncoder().encode(files.get(one))
      const content: PublishedFile['content'] = async function* ({ from = 0 } = {}) {
        if (from < bytes.length) yield bytes.subarray(from)
      }
      yield { path: one, size: bytes.length, content }
    }
  },
  unpublish: (id) => {
    return Promise.resolve().then(() => tell('unpublished', id))
  },
})

/** Every file of a publication; what it is composed of stands in it as a CID. */
function* publishedFiles(cid: string, blobs: Map<string, Readonly<Record<string, string>>>, prefix = ''): Generator<[string, string]> {
  const content = blobs.get(cid)
  if (content === undefined) throw new Error(`${cid} was never published`)
  for (const [path, text] of Object.entries(content)) {
    if (blobs.has(text)) yield* publishedFiles(text, blobs, `${prefix}${path}/`)
    else yield [`${prefix}${path}`, text]
  }
}

const byBytes = (left: string, right: string): number => {
  const [one, other] = [new TextEncoder().encode(left), new TextEncoder().encode(right)]
  const at = one.findIndex((byte, index) => byte !== other[index])
  return at === -1 ? one.length - other.length : (one[at] ?? 0) - (other[at] ?? -1)
}

const textOf = async (part: Reference | Uint8Array | AsyncIterable<Uint8Array>): Promise<string> => {
  if (part instanceof Uint8Array) return new TextDecoder().decode(part)
  if (!(Symbol.asyncIterator in part)) return part.cid ?? ''
  const decoder = new TextDecoder()
  let text = ''
  for await (const chunk of part) text += decoder.decode(chunk, { stream: true })
  return text + decoder.decode()
}
