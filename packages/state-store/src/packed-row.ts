import type { Data, Row } from './index.ts'
import { parsedData } from './plain-data.ts'

/** A row as a table in memory holds it: what indexes look at, and its data as it is or as text. */
export interface HeldRow extends Omit<Row, 'data'> {
  readonly data?: Data
  readonly text?: string
}

/**
 * What is over is many, and hardly ever read again: as JSON its data takes a third of the memory, and the collector has one thing to look at instead of dozens.
 */
export const packed = (row: Row): HeldRow => {
  if (row.open || typeof row.data !== 'object' || row.data === null) return row
  const { data, ...rest } = row
  return { ...rest, text: JSON.stringify(data) }
}

/** The row as it was given, frozen. */
export const unpacked = (held: HeldRow): Row => {
  if (held.text === undefined) return held as Row
  const { text, ...rest } = held
  return Object.freeze({ ...rest, data: parsedData(text) })
}
