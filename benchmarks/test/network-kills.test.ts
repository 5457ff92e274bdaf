import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import { buildProgram } from '../src/jobs/build-program.ts'
import { program } from '../src/jobs/node-process.ts'
import { killNetworkAgainAndAgain } from '../src/kills/network-kills.ts'

// The process table that it reads is Linux's.
test.skipIf(process.platform !== 'linux')(
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
