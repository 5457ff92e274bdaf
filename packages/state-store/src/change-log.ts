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

/** A row that the log has already: of its data only what is another than there, and which fields are gone. */
interface Patch {
  readonly do: 'patch'
  readonly row: Omit<Row, 'data'>
  readonly set: Fields
  readonly gone?: readonly string[]
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

/** What was written anew shares most of its data with what was there, as the same objects: to compare it looks into none. */
const patchOf = (before: Row | undefined, { data, ...row }: Row): Patch | undefined => {
  if (before === undefined || !isMap(data) || !isMap(before.data) || Object.hasOwn(data, '__proto__')) return undefined
  const old = before.data
  const set: Record<string, Data> = {}
  for (const key of Object.keys(data)) {
    const value = data[key] as Data
    if (old[key] !== value || !Object.hasOwn(old, key)) set[key] = value
  }
  const gone = Object.keys(old).filter((key) => !Object.hasOwn(data, key))
  return { do: 'patch', row, set, ...(gone.length > 0 && { gone }) }
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

const patched = ({ row, set, gone = [] }: Patch, before: Row | undefined): Row => {
  if (before === undefined || !isMap(before.data)) throw new StateStoreError('store-corrupt', `the log changes ${row.kind} ${row.id}, which it does not have`)
  const data: Record<string, Data> = { ...before.data, ...set }
  for (const key of gone) delete data[key]
  return Object.freeze({ ...row, data: plainData(data) })
}
