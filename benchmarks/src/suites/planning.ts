import type { JobSpec } from '@skrei/job-spec'
import type { Source } from '@skrei/storage'
import { diskNode } from '../disk-node.ts'
import { measure, peakRssMiB } from '../measure.ts'
import { type Suite, samplesOf } from '../suite.ts'
import { withTemporaryFolder } from '../temporary.ts'

/** Lists as many files as there are meant to be, and holds none of them. */
const listed = (files: number): Source => ({
  type: 'inline',
  list: async function* (source) {
    for (let index = 0; index < files; index++) yield { path: `haul-${String(index).padStart(7, '0')}.csv`, source, size: 1024 }
  },
  assess: () => Promise.resolve({ held: true, refusals: [] }),
  stage: async function* () {},
})

const job: JobSpec = {
  apiVersion: 'skrei/v1',
  engine: { type: 'noop' },
  inputs: [{ path: '/inputs', source: { type: 'inline', text: 'x' } }],
  sharding: { glob: '*.csv', batchSize: 1 },
  publisher: [{ type: 'none' }],
}

/** From `submit` until every file has its place in the frozen manifest, on disk. The node knows nobody who could run a shard. */
const planned = (files: number): Promise<{ readonly wallMs: number }> =>
  withTemporaryFolder(async (folder) => {
    await using node = diskNode({ folder, sources: [listed(files)] })
    const { scheduler } = node
    await scheduler.start()
    const { promise, resolve, reject } = Promise.withResolvers<void>()
    using _watching = scheduler.watch((event) => {
      if (event.type !== 'transition' || event.transition.kind !== 'job') return
      if (event.transition.to === 'running') resolve()
      if (!event.transition.open) reject(new Error(`the job ended ${event.transition.to}`))
    })
    const { wallMs, value: jobId } = await measure(async () => {
      const id = await scheduler.submit(job)
      await promise
      return id
    })
    const total = scheduler.job(jobId)?.shards?.total
    if (total !== files) throw new Error(`${total} shards were planned of ${files} files`)
    return { wallMs }
  })

const figures = {
  seconds: 's to plan a job of 1,000,000 files in as many shards (fewer without --full), on the SQLite store',
  rssMiB: 'the most memory that the process held, MiB',
  rssGrowthMiB: 'how much more of it ten times as many files took, MiB',
}

export const suite: Suite = {
  name: 'planning',
  about: 'Planning a job over many files, a shard each: how long it takes, and that memory stays flat.',
  figures,
  run: async ({ full, smallest, repeat, note }) => {
    const files = full ? 1_000_000 : smallest ? 1000 : 100_000
    const rounds: Readonly<Record<keyof typeof figures, number>>[] = []
    for (let round = 1; round <= repeat; round++) {
      await planned(files / 10)
      const before = peakRssMiB()
      const { wallMs } = await planned(files)
      note(`round ${round} of ${repeat}: ${files} files in ${(wallMs / 1000).toFixed(1)} s`)
      rounds.push({ seconds: wallMs / 1000, rssMiB: peakRssMiB(), rssGrowthMiB: peakRssMiB() - before })
    }
    return samplesOf(rounds)
  },
}
