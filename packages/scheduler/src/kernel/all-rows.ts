import type { ListWhere, Reader, Row } from '@skrei/state-store'

/** All rows of a kind that are as asked for, `page` of them in memory at a time. */
export function* allRows(reader: Pick<Reader, 'list'>, kind: string, where: Omit<ListWhere, 'after' | 'limit'>, page: number): Generator<Row> {
  for (let after: string | undefined; ; ) {
    const rows = reader.list(kind, { ...where, ...(after !== undefined && { after }), limit: page })
    yield* rows
    after = rows.at(-1)?.id
    if (after === undefined || rows.length < page) return
  }
}
