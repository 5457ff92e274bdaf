import { stripVTControlCharacters, styleText } from 'node:util'
import { oneLine } from './printable.ts'

export type Style = (format: Parameters<typeof styleText>[0], text: string) => string

/** Styles for a stream: none where it shows no colours. */
export const styleFor =
  (stream: NodeJS.WriteStream): Style =>
  (format, text) =>
    styleText(format, text, { stream })

const width = (text: string): number => stripVTControlCharacters(text).length

/** Rows in columns as wide as their widest cell; the last column is not padded. Cells may be styled; what strangers wrote goes through `oneLine` before. */
export const columns = (rows: readonly (readonly string[])[]): readonly string[] => {
  const widths: number[] = []
  for (const row of rows) for (const [column, cell] of row.entries()) widths[column] = Math.max(widths[column] ?? 0, width(cell))
  return rows.map((row) =>
    row
      .map((cell, column) => (column === row.length - 1 ? cell : `${cell}${' '.repeat((widths[column] ?? 0) - width(cell))}`))
      .join('  ')
      .trimEnd(),
  )
}

/** The same with a dim heading. */
export const titledTable = (titles: readonly string[], rows: readonly (readonly string[])[], style: Style): readonly string[] =>
  columns([titles.map((title) => style('dim', title)), ...rows])

/** A name that a stranger gave, at most so many characters of it. */
export const named = (text: string, most = 40): string => {
  const line = oneLine(text)
  return line.length <= most ? line : `${line.slice(0, most - 1)}…`
}

/** `1 shard`, `3 shards`. */
export const count = (number: number, what: string): string => `${number} ${what}${number === 1 ? '' : 's'}`
