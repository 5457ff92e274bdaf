import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { readdirSync, readFileSync } from 'node:fs'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as pause } from 'node:timers/promises'
import { expect, test } from 'vitest'
import { buildProgram } from '../src/jobs/build-program.ts'
import { program } from '../src/jobs/node-process.ts'
import { killNetworkAgainAndAgain } from '../src/kills/network-kills.ts'

// The process table that it reads is Linux's.
const onLinux = test.skipIf(process.platform !== 'linux')

onLinux(
  'a network whose processes are killed fifty times loses no accepted job, records no result twice, and leaves nothing behind',
  async () => {
    await buildProgram(() => {})
    const folder = await mkdtemp(join(tmpdir(), 'skrei-network-kills-'))
    try {
      const outcome = await killNetworkAgainAndAgain({ kills: 50, folder, random: Math.random, note: () => {}, program: [program] })
      const { kills, jobsAccepted, ...problems } = outcome
      expect(problems).toEqual({ jobsLost: [], doubleResults: [], processesLeft: [], leftovers: [], faults: [] })
      expect(kills).toBe(50)
      expect(jobsAccepted).toBeGreaterThan(0)
    } finally {
      await rm(folder, { recursive: true, maxRetries: 5 })
    }
  },
  900_000,
)

/** Processes with a home in this folder. */
const nodesIn = (folder: string): readonly string[] =>
  readdirSync('/proc').filter((pid) => {
    try {
      return /^\d+$/.test(pid) && readFileSync(`/proc/${pid}/environ`, 'utf8').includes(`SKREI_HOME=${folder}/`)
    } catch {
      return false
    }
  })

onLinux(
  'a harness that is killed itself leaves no process of its network behind',
  async () => {
    await buildProgram(() => {})
    const folder = await mkdtemp(join(tmpdir(), 'skrei-network-kills-'))
    const script = join(import.meta.dirname, 'network-harness.ts')
    const harness = spawn(process.execPath, ['--conditions=@skrei/source', '--no-warnings', script, folder], { stdio: 'ignore' })
    try {
      while (nodesIn(folder).length < 5) await pause(50)
    } finally {
      harness.kill('SIGKILL')
      await once(harness, 'exit')
    }
    while (nodesIn(folder).length > 0) await pause(50)
    await rm(folder, { recursive: true, maxRetries: 5 })
  },
  300_000,
)
