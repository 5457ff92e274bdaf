import { StateStoreError } from './errors.ts'
import type { Data, Row } from './index.ts'
import { objectKey } from './memory-tables.ts'
import type { Change, Overlay } from './overlay.ts'
import { parsedData, plainData } from './plain-data.ts'

/** The writes of a transaction as they are written down: JSON, and the bytes of its effects one after the other. */
export interface Written {
  readonly text: string
  readonly bytes: Uint8Array | null
}

type Fields = Readonly<Record<string, Data>>

/** What makes one map of another: fields that are other or new, fields that are gone, and maps that are themselves changed. */
interface Difference {
  readonly set?: Fields
  readonly gone?: readonly string[]
  readonly in?: Readonly<Record<string, Difference>>
}

type Named = readonly [kind: string, id: string]
type Head = readonly [...Named, parent: string | null, state: string, open: 0 | 1, version: number]

/** One write, as a list: what stands where needs no name. `change` is a put of a row that the log has already: of its data only what is another than there. */
type Line =
  | readonly ['put', ...Head, data: Data]
  | readonly ['change', ...Head, to: Difference]
  | readonly ['remove', ...Named]
  | readonly ['record', ...Named, sequence: number, group: string | null, at: number, data: Data]
  | readonly ['deadline', ...Named, at: number | null]
  | readonly ['enqueue', ...Named, outboxId: number, type: string, lane: string, data: Data, bytes: number | null]
  | readonly ['done', outboxId: number]

/** As version 3 wrote them. */
type NamedLine = Change & { readonly length?: number }

/** Those of the open transaction. A row that was put again, or removed, need not be written as it was in between. */
export const writtenChanges = (overlay: Overlay): Written => {
  const lines: Line[] = []
  const parts: Uint8Array[] = []
  for (const made of overlay.changes) {
    const line = lineOf(overlay, made)
    if (line === undefined) continue
    lines.push(line)
    if (made.do === 'enqueue' && made.entry.bytes) parts.push(made.entry.bytes)
  }
  return { text: JSON.stringify(lines), bytes: parts.length > 1 ? Buffer.concat(parts) : (parts[0] ?? null) }
}

const lineOf = (overlay: Overlay, made: Change): Line | undefined => {
  switch (made.do) {
    case 'put':
      return putLine(overlay, made.row)
    case 'remove':
      return ['remove', made.kind, made.id]
    case 'record': {
      const { kind, id, sequence, group, at, data } = made.entry
      return ['record', kind, id, sequence, group ?? null, at, data]
    }
    case 'deadline':
      return ['deadline', made.kind, made.id, made.at ?? null]
    case 'enqueue': {
      const { kind, id, outboxId, type, lane, data, bytes } = made.entry
      return ['enqueue', kind, id, outboxId, type, lane, data, bytes?.length ?? null]
    }
    case 'done':
      return ['done', made.outboxId]
  }
}

const putLine = ({ rows, removed, inLog }: Overlay, row: Row): Line | undefined => {
  const { kind, id, parent, state, open, version, data } = row
  if (rows.get(kind)?.get(id) !== row) return undefined
  // What was removed in between has nothing that could be changed.
  const before = removed.size > 0 && removed.has(objectKey(kind, id)) ? undefined : inLog.get(kind)?.get(id)
  const to = before && isMap(data) && isMap(before.data) ? differenceOf(before.data, data, 0) : undefined
  const head: Head = [kind, id, parent ?? null, state, open ? 1 : 0, version]
  return to ? ['change', ...head, to] : ['put', ...head, data]
}

const isMap = (data: Data): data is Fields => typeof data === 'object' && data !== null && !Array.isArray(data)

/** Deeper maps are written whole. */
const deepest = 3

/** What was written anew shares most of its data with what was there, as the same objects: those are not looked into. */
const differenceOf = (old: Fields, data: Fields, depth: number): Difference | undefined => {
  if (Object.hasOwn(data, '__proto__')) return undefined
  let set: Record<string, Data> | undefined
  let inner: Record<string, Difference> | undefined
  let gone: string[] | undefined
  for (const key of Object.keys(data)) {
    const value = data[key] as Data
    const before = Object.hasOwn(old, key) ? old[key] : undefined
    if (before === value) continue
    const difference = depth < deepest && before !== undefined && isMap(before) && isMap(value) ? differenceOf(before, value, depth + 1) : undefined
    if (difference) {
      inner ??= {}
      inner[key] = difference
    } else {
      set ??= {}
      set[key] = value
    }
  }
  for (const key of Object.keys(old))
    if (!Object.hasOwn(data, key)) {
      gone ??= []
      gone.push(key)
    }
  return { ...(set && { set }), ...(gone && { gone }), ...(inner && { in: inner }) }
}

/** The writes that a text stands for. `rowOf`: a row as those before it leave it. Throws where the text is not JSON. */
export function* readChanges({ text, bytes }: Written, rowOf: (kind: string, id: string) => Row | undefined): Generator<Change> {
  let from = 0
  const next = (length: number): Uint8Array => {
    from += length
    return (bytes ?? new Uint8Array()).slice(from - length, from)
  }
  for (const line of parsedData(text) as unknown as readonly (Line | NamedLine)[]) {
    if ('do' in line)
      yield line.do === 'enqueue' && line.length !== undefined ? { do: 'enqueue', entry: Object.freeze({ ...line.entry, bytes: next(line.length) }) } : line
    else yield changeOf(line, rowOf, next)
  }
}

const changeOf = (line: Line, rowOf: (kind: string, id: string) => Row | undefined, next: (length: number) => Uint8Array): Change => {
  switch (line[0]) {
    case 'put': {
      const [, kind, id, parent, state, open, version, data] = line
      return { do: 'put', row: rowWith([kind, id, parent, state, open, version], data) }
    }
    case 'change': {
      const [, kind, id, parent, state, open, version, to] = line
      return { do: 'put', row: rowWith([kind, id, parent, state, open, version], plainData(changed(rowOf(kind, id)?.data ?? null, to, `${kind} ${id}`))) }
    }
    case 'remove':
      return { do: 'remove', kind: line[1], id: line[2] }
    case 'record': {
      const [, kind, id, sequence, group, at, data] = line
      return { do: 'record', entry: Object.freeze({ sequence, kind, id, ...(group !== null && { group }), at, data }) }
    }
    case 'deadline':
      return { do: 'deadline', kind: line[1], id: line[2], at: line[3] ?? undefined }
    case 'enqueue': {
      const [, kind, id, outboxId, type, lane, data, length] = line
      return { do: 'enqueue', entry: Object.freeze({ outboxId, kind, id, type, lane, data, ...(length !== null && { bytes: next(length) }) }) }
    }
    case 'done':
      return { do: 'done', outboxId: line[1] }
  }
}

const rowWith = ([kind, id, parent, state, open, version]: Head, data: Data): Row =>
  Object.freeze({ kind, id, ...(parent !== null && { parent }), state, open: open === 1, version, data })

const changed = (old: Data, { set, gone = [], in: inner = {} }: Difference, name: string): Data => {
  if (!isMap(old)) throw new StateStoreError('store-corrupt', `the log changes ${name}, which it does not have`)
  const data: Record<string, Data> = { ...old, ...set }
  for (const key of gone) delete data[key]
  for (const [key, difference] of Object.entries(inner)) data[key] = changed(old[key] ?? null, difference, name)
  return data
}
