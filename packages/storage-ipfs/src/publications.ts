import { createHash, randomUUID } from 'node:crypto'
import { link, mkdir, readFile, rm } from 'node:fs/promises'
import { join } from 'node:path'
import { IpfsError } from './ipfs-error.ts'
import { writeWhole } from './write-whole.ts'

/** What was published under which id: one small file an id, written once, after all of its blocks. The CIDs in it are the roots that a clean-up must keep. */
export interface Publications {
  start(): Promise<void>
  find(id: string): Promise<string | undefined>
  /** Records the CID; where another writer was faster, theirs stays and is returned. */
  record(id: string, cid: string): Promise<string>
  forget(id: string): Promise<void>
}

const systemCode = (error: unknown): unknown => (error instanceof Error && 'code' in error ? error.code : undefined)

export const publications = ({ directory, sync }: { readonly directory: string; readonly sync: boolean }): Publications => {
  const folder = join(directory, 'published')
  const temporaries = join(directory, 'tmp')

  // Ids are anybody's text: only their hash becomes a file name.
  const pathOf = (id: string): string => {
    if (!id.isWellFormed()) throw new IpfsError('entry-invalid', 'an id must be well-formed text')
    return join(folder, `${createHash('sha256').update(id).digest('hex')}.json`)
  }

  const find = async (id: string): Promise<string | undefined> => {
    try {
      const record: unknown = JSON.parse(await readFile(pathOf(id), 'utf8'))
      if (typeof record === 'object' && record !== null && 'cid' in record && typeof record.cid === 'string') return record.cid
      throw new Error(`the record of publication ${JSON.stringify(id)} is damaged: remove ${pathOf(id)}`)
    } catch (error) {
      if (systemCode(error) === 'ENOENT') return undefined
      throw error
    }
  }

  const record = async (id: string, cid: string): Promise<string> => {
    const temporary = join(temporaries, randomUUID())
    try {
      await writeWhole(`${temporary}.new`, temporary, Buffer.from(`${JSON.stringify({ id, cid })}\n`), sync)
      // A link, not a rename: it never replaces.
      await link(temporary, pathOf(id))
      return cid
    } catch (error) {
      if (systemCode(error) !== 'EEXIST') throw error
      return (await find(id)) ?? (await record(id, cid))
    } finally {
      await rm(temporary, { force: true })
    }
  }

  return {
    start: async () => {
      await mkdir(folder, { recursive: true })
      await mkdir(temporaries, { recursive: true })
    },
    find,
    record,
    forget: (id) => rm(pathOf(id), { force: true }),
  }
}
