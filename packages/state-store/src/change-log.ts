import type { Change, Overlay } from './overlay.ts'
import { parsedData } from './plain-data.ts'

/** The writes of a transaction as they are written down: JSON, and the bytes of its effects one after the other. */
export interface Written {
  readonly text: string
  readonly bytes: Uint8Array | null
}

type Line = Change & { readonly length?: number }

/** Those of the open transaction. A row that was put again, or removed, need not be written as it was in between. */
export const writtenChanges = ({ changes, rows }: Overlay): Written => {
  const lines: Line[] = []
  const parts: Uint8Array[] = []
  for (const made of changes) {
    if (made.do === 'put' && rows.get(made.row.kind)?.get(made.row.id) !== made.row) continue
    if (made.do === 'enqueue' && made.entry.bytes) {
      const { bytes, ...entry } = made.entry
      parts.push(bytes)
      lines.push({ do: 'enqueue', entry, length: bytes.length })
    } else lines.push(made)
  }
  return { text: JSON.stringify(lines), bytes: parts.length > 1 ? Buffer.concat(parts) : (parts[0] ?? null) }
}

/** Throws where the text is not JSON. */
export const readChanges = ({ text, bytes }: Written): readonly Change[] => {
  let from = 0
  return (parsedData(text) as unknown as readonly Line[]).map((line) => {
    if (line.do !== 'enqueue' || line.length === undefined) return line
    const part = (bytes ?? new Uint8Array()).slice(from, from + line.length)
    from += line.length
    return { do: 'enqueue', entry: Object.freeze({ ...line.entry, bytes: part }) }
  })
}
