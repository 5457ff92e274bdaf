import { copyFileSync, existsSync, globSync, mkdirSync, readdirSync, readFileSync, rmSync } from 'node:fs'
import { basename, dirname, join } from 'node:path'
import type { Data, HistoryEntry, Reader, Row } from '@skrei/state-store'
import { sqliteStateStore } from '@skrei/state-store/sqlite'
import { homeOf } from './home.ts'

/** Looks into the store as a dead node left it, without touching it: what recovers the log is the node's next start. */
export const readCopy = <T>(folder: string, work: (reader: Reader) => T, { state }: { readonly state: string } = homeOf(folder)): T | undefined => {
  if (!existsSync(state)) return undefined
  const copy = join(folder, 'copy')
  mkdirSync(copy)
  try {
    for (const file of globSync(`${basename(state)}*`, { cwd: dirname(state) })) copyFileSync(join(dirname(state), file), join(copy, file))
    using store = sqliteStateStore({ path: join(copy, basename(state)) })
    return store.read(work)
  } finally {
    rmSync(copy, { recursive: true })
  }
}

const page = 500

function* rowsOf(reader: Reader, kind: string, where: { readonly open?: boolean } = {}): Generator<Row> {
  for (let after: string | undefined; ; ) {
    const rows = reader.list(kind, { ...where, ...(after !== undefined && { after }), limit: page })
    yield* rows
    after = rows.at(-1)?.id
    if (after === undefined || rows.length < page) return
  }
}

const fieldOf = (data: Data, name: string): Data | undefined => (data as Readonly<Record<string, Data>>)[name]

/** What is recorded of each shard that has a result, and of each final job: never to change again. */
export const recorded = (reader: Reader): ReadonlyMap<string, string> => {
  const found = new Map<string, string>()
  for (const { id, state, open, data } of rowsOf(reader, 'shard')) {
    const result = fieldOf(data, 'result')
    if (result !== undefined || !open) found.set(`shard ${id}`, JSON.stringify([state, result ?? null, fieldOf(data, 'reference') ?? null]))
  }
  for (const { id, state, data } of rowsOf(reader, 'job', { open: false })) found.set(`job ${id}`, JSON.stringify([state, fieldOf(data, 'reference') ?? null]))
  return found
}

const timesCompleted = (reader: Reader, id: string): number =>
  reader.history('shard', id, 0, 10_000).filter(({ data }: HistoryEntry) => fieldOf(data, 'to') === 'completed').length

/** Shards that were completed more than once, as the history or the executions say. */
export const completedTwice = (reader: Reader): readonly string[] => {
  const executions = new Map<string, number>()
  for (const { state, parent } of rowsOf(reader, 'execution'))
    if (state === 'completed' && parent !== undefined) executions.set(parent, (executions.get(parent) ?? 0) + 1)
  return [...rowsOf(reader, 'shard')].map(({ id }) => id).filter((id) => timesCompleted(reader, id) > 1 || (executions.get(id) ?? 0) > 1)
}

/** Accepted jobs that did not come to their result: with what became of them. */
export const lostJobs = (reader: Reader, accepted: readonly string[]): readonly string[] =>
  accepted.flatMap((id) => {
    const row = reader.get('job', id)
    const path = row && (fieldOf(row.data, 'reference') as { readonly path?: string } | undefined)?.path
    if (row?.state === 'completed' && path !== undefined && existsSync(join(path, 'result.json'))) return []
    return [`job ${id}: ${row === undefined ? 'unknown' : `${row.state} ${JSON.stringify(fieldOf(row.data, 'failure') ?? null)}`}`]
  })

/** What a node at rest does not have: effects, open objects, deadlines, folders of executions. */
export const leftovers = (reader: Reader, folder: string, home: { readonly workspace: string; readonly wasm: string } = homeOf(folder)): readonly string[] => {
  return [
    ...reader.pending(0, page).map(({ kind, id, type }) => `effect ${type} of ${kind} ${id}`),
    ...['job', 'shard', 'execution', 'compute'].flatMap((kind) =>
      [...rowsOf(reader, kind, { open: true })].map(({ id, state }) => `${kind} ${id} is still ${state}`),
    ),
    ...reader.due(Infinity, page).map(({ kind, id }) => `deadline of ${kind} ${id}`),
    ...[home.workspace, home.wasm].flatMap((directory) => (existsSync(directory) ? readdirSync(directory).map((name) => join(directory, name)) : [])),
  ]
}

/** The lines of a file, without one that was not written whole. */
export const linesOf = (path: string): readonly string[] => (existsSync(path) ? readFileSync(path, 'utf8').split('\n').slice(0, -1) : [])
