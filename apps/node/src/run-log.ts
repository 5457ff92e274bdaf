import { appendFileSync, copyFileSync, existsSync, readdirSync, rmSync } from 'node:fs'
import { join } from 'node:path'
import type { Logger } from '@skrei/scheduler'
import type { Home, RunFolder } from './home.ts'
import { makeDirectory } from './make-directory.ts'

const kept = 20

/** A run's log: one JSON object a line, in the run's folder, which goes with it. `keep` copies it to `logs`, where the newest 20 stay, and returns where. */
export interface RunLog extends Logger {
  keep(): string | undefined
}

export const runLog = (home: Home, run: RunFolder): RunLog => {
  const file = join(run.path, 'log')
  const write =
    (level: string) =>
    (message: string, fields: Readonly<Record<string, unknown>> = {}): void => {
      try {
        appendFileSync(file, `${JSON.stringify({ at: new Date().toISOString(), level, message, ...fields }, loggable)}\n`)
      } catch {
        // A full disk must not end the run by way of its log.
      }
    }
  return {
    debug: write('debug'),
    info: write('info'),
    warn: write('warn'),
    error: write('error'),
    keep: () => {
      if (!existsSync(file)) return undefined
      makeDirectory(home.logs, 0o700)
      const to = join(home.logs, `${run.id}.log`)
      copyFileSync(file, to)
      for (const old of readdirSync(home.logs).sort().slice(0, -kept)) rmSync(join(home.logs, old), { force: true })
      return to
    },
  }
}

const loggable = (_key: string, value: unknown): unknown => {
  if (value instanceof Error) return { name: value.name, message: value.message, stack: value.stack, ...(value.cause !== undefined && { cause: value.cause }) }
  if (value instanceof Uint8Array) return `${value.byteLength} bytes`
  return typeof value === 'bigint' ? String(value) : value
}
