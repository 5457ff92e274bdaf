import { readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs'
import * as z from 'zod'
import { lockFile } from '../file-lock.ts'
import type { Home } from '../home.ts'

const apiFileSchema = z.object({ url: z.string(), nodeId: z.string(), pid: z.int().positive() })

/** Where the node of a home answers. */
export type ApiFile = z.output<typeof apiFileSchema>

/** Written whole or not at all: whoever reads it sees one or the other. */
export const writeApiFile = (home: Pick<Home, 'apiFile'>, content: ApiFile): void => {
  const temporary = `${home.apiFile}.new`
  rmSync(temporary, { force: true })
  writeFileSync(temporary, `${JSON.stringify(content)}\n`, { mode: 0o600, flag: 'wx' })
  renameSync(temporary, home.apiFile)
}

export const removeApiFile = (home: Pick<Home, 'apiFile'>): void => rmSync(home.apiFile, { force: true })

/** The node that runs on this home, if one does: a file that a dead process left names none, whatever its process id stands for today. Makes nothing. */
export const runningNode = (home: Pick<Home, 'apiFile' | 'nodeLock'>): ApiFile | undefined => {
  let text: string
  try {
    text = readFileSync(home.apiFile, 'utf8')
  } catch {
    return undefined
  }
  const lock = lockFile(home.nodeLock, 0)
  if (lock !== undefined) {
    lock.release()
    return undefined
  }
  try {
    return apiFileSchema.safeParse(JSON.parse(text)).data
  } catch {
    return undefined
  }
}
