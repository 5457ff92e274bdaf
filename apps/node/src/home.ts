import { randomBytes } from 'node:crypto'
import { closeSync, fsyncSync, linkSync, mkdirSync, openSync, readdirSync, readFileSync, rmSync, unlinkSync, writeSync } from 'node:fs'
import { join } from 'node:path'
import { cliError, systemCode } from './cli-errors.ts'
import { type FileLock, lockFile } from './file-lock.ts'
import { makeDirectory } from './make-directory.ts'

const homeVersion = 1
const lockTimeout = 10_000

/** The layout of SKREI_HOME: everything that a node keeps, in one folder. */
export interface Home {
  readonly path: string
  /** IPFS blocks, shared by all runs. */
  readonly blocks: string
  /** What the publisher `local` keeps, shared by all runs. */
  readonly published: string
  /** Results of jobs that were run without --output, by job id. */
  readonly results: string
  /** One folder for every process that runs a job. */
  readonly runs: string
  /** Logs of runs in which something went wrong. */
  readonly logs: string
  /** The node's key, mode 600. */
  readonly identity: string
  /** State, workspace and engines of the node that is a process of its own. */
  readonly node: string
  /** Held by that process while it lives. */
  readonly nodeLock: string
  /** Where that process answers, while it runs: what the client commands read. Mode 600. */
  readonly apiFile: string
  /** The ports that the system chose for its addresses with port 0: the next start takes them again. */
  readonly portsFile: string
}

/** The layout of a home at this path, which need not be there. */
export const homeAt = (path: string): Home => ({
  path,
  blocks: join(path, 'blocks'),
  published: join(path, 'published'),
  results: join(path, 'results'),
  runs: join(path, 'runs'),
  logs: join(path, 'logs'),
  identity: join(path, 'identity'),
  node: join(path, 'node'),
  nodeLock: join(path, 'node.lock'),
  apiFile: join(path, 'node', 'api.json'),
  portsFile: join(path, 'node', 'ports.json'),
})

/** Makes the folder where it is missing; refuses one of a newer version. */
export const openHome = (path: string): Home => {
  const home = homeAt(path)
  try {
    for (const folder of [home.path, home.blocks, home.published, home.results, home.runs]) makeDirectory(folder, 0o700)
    writeOnce(join(path, 'version'), () => `${homeVersion}\n`)
  } catch (error) {
    throw cliError('home-unusable', `cannot write to ${path}: ${systemCode(error) ?? String(error)}`, { cause: error })
  }
  const version = readFileSync(join(path, 'version'), 'utf8').trim()
  if (version !== String(homeVersion))
    throw cliError('home-too-new', `${path} has layout version ${JSON.stringify(version.slice(0, 20))}, this skrei knows ${homeVersion}`)
  return home
}

/** Writes a file that is made once and never changed; when several processes try, one wins and all see its content. Mode 600. */
export const writeOnce = (path: string, content: () => string): void => {
  const temporary = `${path}.${randomBytes(8).toString('hex')}`
  try {
    readFileSync(path)
    return
  } catch (error) {
    if (systemCode(error) !== 'ENOENT') throw error
  }
  const file = openSync(temporary, 'wx', 0o600)
  try {
    writeSync(file, content())
    fsyncSync(file)
    linkSync(temporary, path)
  } catch (error) {
    if (systemCode(error) !== 'EEXIST') throw error
  } finally {
    closeSync(file)
    unlinkSync(temporary)
  }
}

/** The folder of this process under `runs`, locked while the process lives. */
export interface RunFolder {
  readonly id: string
  readonly path: string
  /** Folders of processes that died, now locked by this one: to be cleaned up and released. */
  readonly dead: readonly DeadRun[]
  /** Removes the folder. */
  remove(): void
}

export interface DeadRun {
  readonly path: string
  remove(): void
}

/** Takes a run folder of its own, and with it whatever dead processes left. */
export const takeRunFolder = (home: Home): RunFolder => {
  try {
    // A folder without a locked file in it is dead, so folders are made and looked at under one lock.
    const startLock = lockFile(join(home.path, 'lock'), lockTimeout)
    if (startLock === undefined) throw cliError('home-locked', `the lock of ${home.path} was not free for ${lockTimeout / 1000} s`)
    try {
      const dead = readdirSync(home.runs).flatMap((name) => deadRun(join(home.runs, name)))
      const id = `${Date.now().toString(36)}-${randomBytes(5).toString('hex')}`
      const path = join(home.runs, id)
      mkdirSync(path, { mode: 0o700 })
      const lock = lockFile(join(path, 'lock'), 0)
      if (lock === undefined) throw new Error(`a new run folder is locked: ${path}`)
      return { id, dead, ...folderOf(path, lock) }
    } finally {
      startLock.release()
    }
  } catch (error) {
    if (systemCode(error) === undefined) throw error
    throw cliError('home-unusable', `cannot write to ${home.runs}: ${systemCode(error)}`, { cause: error })
  }
}

const deadRun = (path: string): readonly DeadRun[] => {
  try {
    const lock = lockFile(join(path, 'lock'), 0)
    return lock === undefined ? [] : [folderOf(path, lock)]
  } catch {
    // Another process has just removed it, or it is not ours to remove.
    return []
  }
}

const folderOf = (path: string, lock: FileLock): DeadRun => ({
  path,
  remove: () => {
    rmSync(path, { recursive: true, force: true, maxRetries: 5 })
    lock.release()
  },
})
