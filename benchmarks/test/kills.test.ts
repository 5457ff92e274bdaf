import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import { killAgainAndAgain } from '../src/kills/kills.ts'

// The process table that it reads is Linux's.
const onLinux = test.skipIf(process.platform !== 'linux')

onLinux(
  'a node that is killed again and again loses no accepted job, records no result twice, and leaves nothing behind',
  async () => {
    const folder = await mkdtemp(join(tmpdir(), 'skrei-kills-'))
    try {
      const outcome = await killAgainAndAgain({ kills: 8, folder, random: Math.random, note: () => {} })
      const { kills, jobsAccepted, ...problems } = outcome
      expect(problems).toEqual({ jobsLost: [], doubleResults: [], processesLeft: [], leftovers: [], faults: [] })
      expect(kills).toBe(8)
      expect(jobsAccepted).toBeGreaterThan(0)
    } finally {
      await rm(folder, { recursive: true, maxRetries: 5 })
    }
  },
  300_000,
)
