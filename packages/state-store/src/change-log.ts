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

/** A row that the log has already: of its data only what is another than there. */
interface Patch {
  readonly do: 'patch'
  readonly row: Omit<Row, 'data'>
  readonly to: Difference
}

type Line = (Change & { readonly length?: number }) | Patch

/** Those of the open transaction. A row that was put again, or removed, need not be written as it was in between. */
export const writtenChanges = ({ changes, rows, removed, inLog }: Overlay): Written => {
  const lines: Line[] = []
  const parts: Uint8Array[] = []
  for (const made of changes) {
    if (made.do === 'put') {
      const { kind, id } = made.row
      if (rows.get(kind)?.get(id) !== made.row) continue
      // What was removed in between has nothing that could be changed.
      const before = removed.size > 0 && removed.has(objectKey(kind, id)) ? undefined : inLog.get(kind)?.get(id)
      lines.push(patchOf(before, made.row) ?? made)
    } else if (made.do === 'enqueue' && made.entry.bytes) {
      const { bytes, ...entry } = made.entry
      parts.push(bytes)
      lines.push({ do: 'enqueue', entry, length: bytes.length })
    } else lines.push(made)
  }
  return { text: JSON.stringify(lines), bytes: parts.length > 1 ? Buffer.concat(parts) : (parts[0] ?? null) }
}

const isMap = (data: Data): data is Fields => typeof data === 'object' && data !== null && !Array.isArray(data)

const patchOf = (before: Row | undefined, { data, ...row }: Row): Patch | undefined => {
  if (before === undefined || !isMap(data) || !isMap(before.data)) return undefined
  const to = differenceOf(before.data, data, 0)
  return to && { do: 'patch', row, to }
}

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
  for (const line of parsedData(text) as unknown as readonly Line[]) {
    if (line.do === 'patch') yield { do: 'put', row: patched(line, rowOf(line.row.kind, line.row.id)) }
    else if (line.do !== 'enqueue' || line.length === undefined) yield line
    else {
      const part = (bytes ?? new Uint8Array()).slice(from, from + line.length)
      from += line.length
      yield { do: 'enqueue', entry: Object.freeze({ ...line.entry, bytes: part }) }
    }
  }
}

const patched = ({ row, to }: Patch, before: Row | undefined): Row =>
  Object.freeze({ ...row, data: plainData(changed(before?.data ?? null, to, `${row.kind} ${row.id}`)) })

const changed = (old: Data, { set, gone = [], in: inner = {} }: Difference, name: string): Data => {
  if (!isMap(old)) throw new StateStoreError('store-corrupt', `the log changes ${name}, which it does not have`)
  const data: Record<string, Data> = { ...old, ...set }
  for (const key of gone) delete data[key]
  for (const [key, difference] of Object.entries(inner)) data[key] = changed(old[key] ?? null, difference, name)
  return data
}
