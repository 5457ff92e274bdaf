const cell = (text: string): string => text.replaceAll('|', '\\|').replaceAll('\n', ' ')

/** A table; what stands in a cell may hold bars and line ends. */
export const table = (columns: readonly string[], rows: readonly (readonly string[])[]): string =>
  [columns, columns.map(() => '---'), ...rows].map((row) => `| ${row.map(cell).join(' | ')} |`).join('\n')

export const code = (text: string): string => `\`${text}\``

/** A page: its parts with blank lines between them. */
export const paragraphs = (parts: readonly string[]): string => `${parts.join('\n\n')}\n`
