import { stripVTControlCharacters, styleText } from 'node:util'
import { oneLine } from './printable.ts'

export type Style = (format: Parameters<typeof styleText>[0], text: string) => string

/** Styles for a stream: none where it shows no colours. */
export const styleFor =
  (stream: NodeJS.WriteStream): Style =>
  (format, text) =>
    styleText(format, text, { stream })

/** How many characters a line of it holds; undefined where it is no terminal: what reads it then wants whole lines. */
export const widthOf = (stream: NodeJS.WriteStream): number | undefined => (stream.isTTY ? stream.columns : undefined)

const gap = 2
const lengthOf = (text: string): number => stripVTControlCharacters(text).length

const widthsOf = (rows: readonly (readonly string[])[]): number[] => {
  const widths: number[] = []
  for (const row of rows) for (const [column, cell] of row.entries()) widths[column] = Math.max(widths[column] ?? 0, lengthOf(cell))
  return widths
}

/** Rows in columns as wide as their widest cell; the last column is not padded. Cells may be styled; what strangers wrote goes through `oneLine` before. */
export const columns = (rows: readonly (readonly string[])[]): readonly string[] => {
  const widths = widthsOf(rows)
  return rows.map((row) =>
    row
      .map((cell, column) => (column === row.length - 1 ? cell : `${cell}${' '.repeat((widths[column] ?? 0) - lengthOf(cell))}`))
      .join(' '.repeat(gap))
      .trimEnd(),
  )
}

/** What a table must fit into. */
export interface Fit {
  /** Characters of a line; undefined: as many as it needs. */
  readonly width: number | undefined
  /** The columns of free text, which may be cut. Others, ids above all, never are. */
  readonly free: readonly number[]
}

/** No column of free text is cut to less. */
const leastWidth = 8
const indent = 4

/** Columns in a dim heading's table. Where they do not fit, free text is cut; where that is not enough, the first column, an id, has a line of its own, and the others stand below it. */
export const titledTable = (
  titles: readonly string[],
  rows: readonly (readonly string[])[],
  style: Style,
  { width, free }: Fit = { width: undefined, free: [] },
): readonly string[] => {
  const all = [titles.map((title) => style('dim', title)), ...rows]
  if (width === undefined) return columns(all)
  const cut = shortened(all, free, width)
  if (cut.fits) return columns(cut.rows)
  const below = shortened(
    all.map((row) => row.slice(1)),
    free.map((column) => column - 1),
    width - indent,
  )
  const lines = columns(below.rows)
  return all.flatMap(([first = ''], index) => [first, `${' '.repeat(indent)}${lines[index]}`])
}

/** The widest columns of free text are cut until all fit, if they do. */
const shortened = (
  rows: readonly (readonly string[])[],
  free: readonly number[],
  width: number,
): { readonly rows: readonly (readonly string[])[]; readonly fits: boolean } => {
  const widths = widthsOf(rows)
  let over = widths.reduce((sum, one) => sum + one, (widths.length - 1) * gap) - width
  while (over > 0) {
    const widest = free.reduce<number | undefined>((best, column) => ((widths[column] ?? 0) > (widths[best ?? -1] ?? leastWidth) ? column : best), undefined)
    if (widest === undefined) break
    widths[widest] = (widths[widest] ?? 0) - 1
    over -= 1
  }
  return { rows: rows.map((row) => row.map((cell, column) => (free.includes(column) ? cutTo(cell, widths[column] ?? 0) : cell))), fits: over <= 0 }
}

/** A text that may be styled, in at most so many characters. */
const cutTo = (text: string, most: number): string => {
  if (lengthOf(text) <= most) return text
  let left = most - 1
  let isCut = false
  return text
    .split(/(\u001b\[[\d;]*m)/)
    .map((part, index) => {
      // What switches a style on or off takes no room, and stays.
      if (index % 2 === 1 || isCut) return index % 2 === 1 ? part : ''
      isCut = part.length > left
      const kept = part.slice(0, left)
      left -= kept.length
      return isCut ? `${kept.trimEnd()}…` : kept
    })
    .join('')
}

/** Words in lines of at most so many characters, where they can be; a word that is longer, as an id may be, stays whole. */
export const wrapped = (words: readonly string[], width: number | undefined, between = ' '): readonly string[] => {
  const lines: string[] = []
  let line = ''
  for (const word of words) {
    const longer = line === '' ? word : `${line}${between}${word}`
    if (line !== '' && width !== undefined && lengthOf(longer) > width) {
      lines.push(line)
      line = word
    } else line = longer
  }
  return [...lines, line]
}

/** Whether every line has at most so many characters. */
export const fits = (lines: readonly string[], width: number | undefined): boolean => width === undefined || lines.every((line) => lengthOf(line) <= width)

/** A name that a stranger gave, at most so many characters of it. */
export const named = (text: string, most = 40): string => {
  const line = oneLine(text)
  return line.length <= most ? line : `${line.slice(0, most - 1)}…`
}

/** `1 shard`, `3 shards`. */
export const count = (number: number, what: string): string => `${number} ${what}${number === 1 ? '' : 's'}`
