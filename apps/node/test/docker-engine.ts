import { execFileSync } from 'node:child_process'
import { test } from 'vitest'

export const socket = 'unix:///var/run/docker.sock'

/** What the Docker client answers; undefined where it fails. */
export const engine = (...args: readonly string[]): string | undefined => {
  try {
    return execFileSync('docker', ['--host', socket, ...args], { encoding: 'utf8', stdio: ['ignore', 'pipe', 'ignore'] }).trim()
  } catch {
    return undefined
  }
}
const missing = engine('image', 'inspect', 'busybox') === undefined

// In CI it is there, or this fails.
export const onEngine = missing && process.env['CI'] !== 'true' ? test.skip : test
export const note = missing ? ' (skipped: no Docker engine answers, or it has no image busybox; run: sudo bash scripts/ci-machine)' : ''
