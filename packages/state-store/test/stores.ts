import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll } from 'vitest'
import type { ConformanceStores } from '../src/conformance.ts'
import { type MemoryStateStore, memoryStateStore } from '../src/memory.ts'
import { sqliteStateStore } from '../src/sqlite.ts'

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

export const sqliteStores = (directory: string): Required<Pick<ConformanceStores, 'open' | 'reopen'>> => {
  const paths = new WeakMap<object, string>()
  let count = 0
  const openAt = (path: string) => {
    const store = sqliteStateStore({ path })
    paths.set(store, path)
    return store
  }
  return {
    open: () => {
      count += 1
      return openAt(join(directory, `${count}.db`))
    },
    reopen: (store) => {
      store[Symbol.dispose]()
      return openAt(paths.get(store) as string)
    },
  }
}
