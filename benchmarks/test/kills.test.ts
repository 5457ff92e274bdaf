import { appendFileSync } from 'node:fs'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { sqliteStateStore } from '@skrei/state-store/sqlite'
import { expect, test } from 'vitest'
import { homeOf } from '../src/kills/home.ts'
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

/** What must never happen, done by hand to a node's home: a recorded result changes, a shard is completed by a second execution, an accepted job is unknown. */
const spoil = (folder: string): { readonly changed: string; readonly twice: string } => {
  using store = sqliteStateStore({ path: homeOf(folder).state })
  return store.transact((transaction) => {
    const [first, second] = transaction.list('execution', { state: 'completed', limit: 100 })
    const shard = transaction.get('shard', first?.parent ?? '')
    if (first === undefined || second?.parent === undefined || shard === undefined) throw new Error('fewer than two shards were completed before the kill')
    transaction.put({ ...shard, data: { ...(shard.data as object), reference: { type: 'none' } } })
    transaction.put({ ...second, id: `${second.id}-again` })
    appendFileSync(homeOf(folder).accepted, 'a-job-that-nobody-knows\n')
    return { changed: shard.id, twice: second.parent }
  })
}

onLinux(
  'each detector reports what it is there for: a result that changed, a second result, a lost job, processes left behind',
  async () => {
    const folder = await mkdtemp(join(tmpdir(), 'skrei-kills-'))
    try {
      const spoilt: ReturnType<typeof spoil>[] = []
      const between = (home: string): void => {
        if (spoilt.length === 0) spoilt.push(spoil(home))
      }
      const entry = new URL('./leaky-node.ts', import.meta.url)
      // Late enough for several jobs to have come to their end.
      const random = () => 0.99
      const { jobsLost, doubleResults, processesLeft } = await killAgainAndAgain({ kills: 2, folder, random, note: () => {}, entry, grace: 2000, between })
      const [{ changed, twice } = { changed: '', twice: '' }] = spoilt
      expect(doubleResults).toContainEqual(expect.stringMatching(new RegExp(`^shard ${changed} was `)))
      expect(doubleResults).toContain(twice)
      expect(jobsLost).toContain('job a-job-that-nobody-knows: unknown')
      for (const when of ['kill 1', 'kill 2', 'the last start'])
        expect(processesLeft).toContainEqual(expect.stringMatching(new RegExp(`^process \\d+ outlived the node of ${when}$`)))
    } finally {
      await rm(folder, { recursive: true, maxRetries: 5 })
    }
  },
  300_000,
)
