import { fork } from 'node:child_process'
import { fileURLToPath } from 'node:url'
import type { Samples, Suite } from './suite.ts'

export interface RunOptions {
  readonly full: boolean
  readonly smallest: boolean
  readonly repeat?: number
  /** Further flags for Node. */
  readonly flags?: readonly string[]
  /** Ends the suite: one that is `interruptible` still gives its figures. */
  readonly signal?: AbortSignal
}

/** Runs a suite in a process of its own and checks that it gave what it promised. Progress goes to standard error. */
export const runSuite = async ({ name, figures }: Suite, { flags = [], signal, ...options }: RunOptions): Promise<Samples> => {
  const child = fork(fileURLToPath(new URL('./suite-process.ts', import.meta.url)), [JSON.stringify({ name, ...options })], {
    execArgv: ['--conditions=@skrei/source', '--no-warnings', ...flags],
    stdio: ['ignore', 2, 2, 'ipc'],
    // A group of its own: Ctrl-C in a terminal reaches this process alone, which passes it on once.
    detached: true,
  })
  const interrupt = (): void => void child.kill('SIGINT')
  signal?.addEventListener('abort', interrupt, { once: true })
  if (signal?.aborted) interrupt()
  let samples: Samples | undefined
  child.on('message', (message) => {
    samples = message as Samples
  })
  const code = await new Promise<number | string | null>((resolve, reject) => {
    child.once('error', reject)
    child.once('close', (status, signal) => resolve(signal ?? status))
  })
  signal?.removeEventListener('abort', interrupt)
  if (code !== 0 || samples === undefined) throw new Error(`suite ${name} ended with ${code} and ${samples === undefined ? 'no' : 'its'} figures`)
  const given = samples
  const wrong = Object.keys(figures).filter((figure) => !given[figure]?.length || !given[figure].every(Number.isFinite))
  const unknown = Object.keys(given).filter((figure) => !(figure in figures))
  if (wrong.length + unknown.length > 0)
    throw new Error(`suite ${name}: no figures ${wrong.join(', ') || '-'}; unannounced figures ${unknown.join(', ') || '-'}`)
  return given
}
