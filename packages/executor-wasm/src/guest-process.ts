import { fork } from 'node:child_process'
import { readFileSync } from 'node:fs'
import { setTimeout as pause } from 'node:timers/promises'
import type { GuestJob, GuestResult, ProcessMessage } from './guest-job.ts'

/** A process that runs guests, one at a time. */
export interface GuestProcess {
  readonly pid: number
  /** When it began, as the system tells it; tells apart two processes that had one pid. Absent where the system does not tell. */
  readonly startTime: string | undefined
  /** Resolves once it can run a guest at once. */
  readonly ready: Promise<void>
  readonly alive: () => boolean
  /** Rejects with {@link ProcessEndedError} where the process ends first. */
  run(job: GuestJob, output: () => void): Promise<{ readonly result: GuestResult; readonly cpuMs: number }>
  /** Resolves once it is dead. */
  kill(): Promise<void>
  /** CPU time so far, where the system tells. */
  cpuMs(): number | undefined
  /** Whether it keeps the node's process from ending. */
  hold(on: boolean): void
}

export class ProcessEndedError extends Error {
  override readonly name = 'ProcessEndedError'
  readonly code = 'process-ended'
  /** The engine itself said that it had no memory left. */
  readonly outOfMemory: boolean

  constructor(message: string, outOfMemory: boolean) {
    super(message)
    this.outOfMemory = outOfMemory
  }
}

const entry = import.meta.url.endsWith('.ts') ? new URL('./child.ts', import.meta.url) : new URL('./child.js', import.meta.url)

// Defence in depth: it starts no process and loads no native code, whatever becomes of its engine. Which files it needs is not known when it starts.
const flags = ['--permission', '--allow-fs-read=*', '--allow-fs-write=*', '--allow-worker', '--no-warnings', '--max-old-space-size=128']
const keptText = 8192

export const guestProcess = (): GuestProcess => {
  const child = fork(entry, [], { execArgv: flags, env: {}, serialization: 'advanced', stdio: ['ignore', 'ignore', 'pipe', 'ipc'] })
  let text = ''
  let alive = true
  const waiting: { reject: (error: Error) => void; message: (message: ProcessMessage) => void }[] = []
  child.stderr?.on('data', (chunk: Buffer) => {
    text = (text + chunk.toString('latin1')).slice(0, keptText)
  })
  const ended = new Promise<void>((resolve) => {
    const over = (message: string) => {
      alive = false
      for (const { reject } of waiting.splice(0)) reject(new ProcessEndedError(message, /out of memory/i.test(text)))
      resolve()
    }
    child.once('close', (code, signal) =>
      over(`the process of the guest ended by itself (${signal ?? `code ${code}`})${text === '' ? '' : `: ${text.trim().slice(0, 500)}`}`),
    )
    child.once('error', (error) => {
      if (child.pid === undefined) over(error.message)
    })
  })
  child.on('message', (message: ProcessMessage) => {
    for (const one of [...waiting]) one.message(message)
  })
  /** Resolves with what `pick` finds in a message. */
  const awaited = <T>(pick: (message: ProcessMessage) => T | undefined): Promise<T> =>
    new Promise((resolve, reject) => {
      if (!alive) return reject(new ProcessEndedError('the process of the guest is dead', false))
      const one = {
        reject,
        message: (message: ProcessMessage) => {
          const found = pick(message)
          if (found === undefined) return
          waiting.splice(waiting.indexOf(one), 1)
          resolve(found)
        },
      }
      waiting.push(one)
    })
  const ready = awaited((message) => (message.type === 'ready' ? true : undefined)).then(() => undefined)
  // Who waits for it is told; nobody need.
  ready.catch(() => undefined)
  const pid = child.pid ?? 0
  const hold = (on: boolean): void => {
    // The types of a child's streams do not say that they are sockets.
    const held = [child, child.channel, child.stderr as unknown as { ref(): void; unref(): void } | null]
    for (const one of held)
      if (on) one?.ref()
      else one?.unref()
  }
  return {
    pid,
    startTime: startTimeOf(pid),
    ready,
    alive: () => alive,
    run: async (job, output) => {
      const end = awaited((message) => {
        if (message.type === 'output') output()
        return message.type === 'end' ? { result: message.result, cpuMs: message.cpuMs } : undefined
      })
      if (alive) child.send(job, () => undefined)
      return end
    },
    kill: async () => {
      // Its end must be waited for, even where it was at rest.
      if (alive) hold(true)
      child.kill('SIGKILL')
      await ended
    },
    cpuMs: () => cpuMsOf(pid),
    hold,
  }
}

/** The fields of /proc/<pid>/stat after the name, which may hold anything: https://man7.org/linux/man-pages/man5/proc_pid_stat.5.html */
const statOf = (pid: number): readonly string[] | undefined => {
  try {
    const text = readFileSync(`/proc/${pid}/stat`, 'latin1')
    return text.slice(text.lastIndexOf(')') + 2).split(' ')
  } catch {
    return undefined
  }
}

const startTimeOf = (pid: number): string | undefined => statOf(pid)?.[19]

/** The system counts in hundredths of a second. */
const cpuMsOf = (pid: number): number | undefined => {
  const stat = statOf(pid)
  return stat === undefined ? undefined : (Number(stat[11]) + Number(stat[12])) * 10
}

/** Kills a process of a former node, if it is still that process, and resolves once it is gone. */
export const killLeftover = async (pid: number, startTime: string): Promise<void> => {
  const running = () => {
    const stat = statOf(pid)
    return stat !== undefined && stat[19] === startTime && stat[0] !== 'Z'
  }
  if (running()) {
    try {
      process.kill(pid, 'SIGKILL')
    } catch {
      // Gone in between.
    }
  }
  while (running()) await pause(5)
}
