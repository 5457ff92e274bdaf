import { type ChildProcess, fork } from 'node:child_process'
import { once } from 'node:events'
import { setTimeout as pause } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'
import { homeOf } from './home.ts'
import { completedTwice, leftovers, linesOf, lostJobs, readCopy, recorded } from './look.ts'
import { processesOf } from './session.ts'

export interface KillsOptions {
  readonly kills: number
  /** An empty folder: the node's home. */
  readonly folder: string
  /** Uniform in [0, 1): when to kill. */
  readonly random: () => number
  readonly note: (text: string) => void
  /** What is run as the node. Default: node-process.ts. */
  readonly entry?: URL
  /** Milliseconds within which processes that lost their node must notice. Default: 10 s. */
  readonly grace?: number
  /** Called with the folder while no node runs, after each kill: to try the detectors. */
  readonly between?: (folder: string) => void
}

/** Each list holds what went wrong, in words: all are empty for a node that keeps its promises. */
export interface KillsOutcome {
  readonly kills: number
  readonly jobsAccepted: number
  readonly jobsLost: readonly string[]
  readonly doubleResults: readonly string[]
  readonly processesLeft: readonly string[]
  /** Effects, open objects and folders that a node at rest has no use for. */
  readonly leftovers: readonly string[]
  /** What the node itself found wrong, and ends of its process that nobody asked for. */
  readonly faults: readonly string[]
}

const nodeProcess = new URL('./node-process.ts', import.meta.url)
/** Milliseconds within which a node starts. */
const starting = 800
/** How much a node works before it is killed, at most; then, for how many milliseconds it goes on. Counted in work, because machines differ. */
const mostTransitions = 400
const longestDelay = 30
/** A node that does not come so far is killed all the same. */
const longestWork = 60_000
const longestFinish = 180_000

/** In a session of its own, which its guests inherit: they are found after its death. */
const startNode = (entry: URL, folder: string, mode: string): ChildProcess & { readonly pid: number } => {
  const child = fork(fileURLToPath(entry), [folder, mode], {
    detached: true,
    execArgv: ['--conditions=@skrei/source', '--no-warnings'],
    stdio: ['ignore', 2, 2, 'ipc'],
  })
  if (child.pid === undefined) throw new Error('the node could not be started')
  return Object.assign(child, { pid: child.pid })
}

const survivors = async (session: number, grace: number): Promise<readonly number[]> => {
  const end = Date.now() + grace
  for (let left = processesOf(session); ; left = processesOf(session)) {
    if (left.length === 0 || Date.now() > end) return left
    await pause(20)
  }
}

/**
 * Runs a node in a process of its own that takes jobs without a pause, and kills it with SIGKILL again and again: a quarter of the times while it
 * starts. Each time its store is compared with what it was before. In the end the node may finish.
 */
export const killAgainAndAgain = async (options: KillsOptions): Promise<KillsOutcome> => {
  const { kills, folder, random, note, entry = nodeProcess, grace = 10_000, between = () => {} } = options
  if (process.platform !== 'linux') throw new Error('what a killed node leaves running is found in the process table of Linux: run this on Linux')
  const home = homeOf(folder)
  const doubleResults: string[] = []
  const processesLeft: string[] = []
  const faults: string[] = []
  let before: ReadonlyMap<string, string> = new Map()

  const compare = (): void => {
    const now = readCopy(folder, recorded) ?? new Map<string, string>()
    for (const [object, was] of before) if (now.get(object) !== was) doubleResults.push(`${object} was ${was} and is ${now.get(object)}`)
    before = now
  }

  /** After its end: its guests must have followed it. */
  const buried = async (session: number, when: string): Promise<void> => {
    for (const pid of await survivors(session, grace)) {
      processesLeft.push(`process ${pid} outlived the node of ${when}`)
      process.kill(pid, 'SIGKILL')
    }
  }

  const killOnce = async (when: string): Promise<void> => {
    const transitions = 1 + Math.floor(random() * mostTransitions)
    const node = startNode(entry, folder, String(transitions))
    const ended = once(node, 'exit') as Promise<[code: number | null, signal: string | null]>
    try {
      if (random() < 0.25) await Promise.race([pause(random() * starting), ended])
      else {
        await Promise.race([once(node, 'message'), ended, pause(longestWork, undefined, { ref: false })])
        await Promise.race([pause(random() * longestDelay), ended])
      }
    } finally {
      node.kill('SIGKILL')
    }
    const [code, signal] = await ended
    if (signal !== 'SIGKILL') faults.push(`the node of ${when} ended by itself, ${signal ?? `code ${code}`}`)
    await buried(node.pid, when)
    compare()
  }

  for (let kill = 1; kill <= kills; kill++) {
    await killOnce(`kill ${kill}`)
    between(folder)
    if (kill % 10 === 0 || kill === kills) note(`${kill} of ${kills} kills, ${linesOf(home.accepted).length} jobs accepted, ${before.size} objects final`)
  }

  const last = startNode(entry, folder, 'finish')
  const giveUp = setTimeout(() => last.kill('SIGKILL'), longestFinish)
  const [code, signal] = (await once(last, 'exit')) as [code: number | null, signal: string | null]
  clearTimeout(giveUp)
  if (code !== 0) faults.push(`the last node did not come to its end: ${signal ?? `code ${code}`}`)
  await buried(last.pid, 'the last start')
  compare()

  const accepted = linesOf(home.accepted)
  const end = readCopy(folder, (reader) => ({
    jobsLost: lostJobs(reader, accepted),
    completedTwice: completedTwice(reader),
    leftovers: leftovers(reader, folder),
  }))
  return {
    kills,
    jobsAccepted: accepted.length,
    jobsLost: end?.jobsLost ?? accepted,
    doubleResults: [...doubleResults, ...(end?.completedTwice ?? [])],
    processesLeft,
    leftovers: end?.leftovers ?? [],
    faults: [...faults, ...linesOf(home.wrong)],
  }
}
