import { copyFileSync, existsSync, mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll } from 'vitest'
import type { ConformanceStores } from '../src/conformance.ts'
import type { StateStore } from '../src/index.ts'
import { type MemoryStateStore, memoryStateStore } from '../src/memory.ts'
import { sqliteStateStore } from '../src/sqlite.ts'
import { openSqliteStore, type SqliteStoreLimits } from '../src/sqlite-store.ts'

/** A directory of this test file, removed after it. */
export const temporaryDirectory = (): string => {
  const directory = mkdtempSync(join(tmpdir(), 'skrei-state-store-'))
  afterAll(() => rmSync(directory, { recursive: true, force: true }))
  return directory
}

export const memoryStores: Required<Pick<ConformanceStores, 'open' | 'reopen'>> = {
  open: () => memoryStateStore(),
  reopen: (store) => {
    store[Symbol.dispose]()
    return memoryStateStore({ from: (store as MemoryStateStore).snapshot() })
  },
}

/** A store whose log and cache are full after a few writes does within a test what others do within hours. */
const open = (path: string, limits?: SqliteStoreLimits): StateStore => (limits ? openSqliteStore({ path }, limits) : sqliteStateStore({ path }))

export interface CrashingStores extends Required<Pick<ConformanceStores, 'open' | 'reopen'>> {
  /** Called outside of a transaction. What it returns opens what a new process finds when this one is lost at that moment, within the next transaction or before it. */
  losing(store: StateStore): () => StateStore
}

export const crashingMemoryStores: CrashingStores = {
  ...memoryStores,
  losing: (store) => {
    const from = (store as MemoryStateStore).snapshot()
    return () => memoryStateStore({ from })
  },
}

export const sqliteStores = (directory: string, limits?: SqliteStoreLimits): CrashingStores => {
  const paths = new WeakMap<object, string>()
  let count = 0
  const openAt = (path: string) => {
    const store = open(path, limits)
    paths.set(store, path)
    return store
  }
  const nextPath = (): string => {
    count += 1
    return join(directory, `${count}.db`)
  }
  return {
    open: () => openAt(nextPath()),
    reopen: (store) => {
      store[Symbol.dispose]()
      return openAt(paths.get(store) as string)
    },
    losing: (store) => () => {
      const from = paths.get(store) as string
      const to = nextPath()
      for (const suffix of ['', '-wal']) if (existsSync(from + suffix)) copyFileSync(from + suffix, to + suffix)
      return openAt(to)
    },
  }
}
