import { describe, expect, test } from 'vitest'
import { createSimulation, seededRandom } from '../src/simulation/index.ts'
import { quiet, watchInvariants } from './invariants.ts'
import { noopJob } from './noop-job.ts'

const seeds = Number(process.env['SKREI_SEEDS'] ?? 20)
const first = Number(process.env['SKREI_SEED'] ?? 1)

describe('whatever the network and the nodes do, the laws hold and every job comes to an end', () => {
  test.each(Array.from({ length: seeds }, (_, index) => first + index))('seed %i', async (seed) => {
    const random = seededRandom(seed)
    const share = (most: number): number => (random() < 0.5 ? 0 : random() * most)
    const world = await createSimulation({
      nodes: 2 + Math.floor(random() * 4),
      seed,
      link: { latency: random() * 20, jitter: random() * 100, loss: share(0.3), duplication: share(0.3), reordering: share(0.5) },
      capacity: { cpu: 1000 + Math.floor(random() * 3) * 500 },
      requesterOnly: random() < 0.3,
    })
    const invariants = watchInvariants(world)
    const requester = world.node(0)
    const count = 1 + Math.floor(random() * 8)
    const jobId = await requester.scheduler.submit(
      noopJob({
        sharding: { count },
        engine: { type: 'noop', duration: 200 + Math.floor(random() * 3000), files: { '/out/a': 'x' }, ...(random() < 0.1 && { exit: 3 }) },
        retry: { attempts: 20 },
      }),
    )
    const cancelAt = random() < 0.2 ? Math.floor(random() * 20) : -1

    for (let step = 0; step < 20; step++) {
      await world.clock.advance(random() * 1000)
      invariants.checkAll()
      const victim = world.node(Math.floor(random() * world.nodes.length))
      if (step === cancelAt && requester.up) await requester.scheduler.cancel(jobId)
      if (random() < 0.15 && victim.up) victim.crash()
      else if (random() < 0.4 && !victim.up) await victim.restart()
      if (random() < 0.1) world.network.block(victim.id, world.node(Math.floor(random() * world.nodes.length)).id)
      if (random() < 0.1) world.network.partition([world.nodes.filter(() => random() < 0.5).map(({ id }) => id)])
      if (random() < 0.2) world.network.heal()
    }
    world.network.heal()
    for (const node of world.nodes) if (!node.up) await node.restart()
    const state = await world.finish(requester, jobId)
    await world.clock.advance(7_200_000)
    invariants.checkAll()

    expect(quiet(world)).toEqual([])
    // What is a result stays published, and nothing else does.
    const ofResults = new Set(
      (requester.scheduler.result(jobId)?.shards ?? []).filter((shard) => shard.state === 'completed').map(({ executions }) => executions.at(-1)?.id),
    )
    const withdrawn = new Set(world.happened.filter(({ what }) => what === 'unpublished').map(({ execution }) => execution))
    const published = new Set(world.happened.filter(({ what }) => what === 'published').map(({ execution }) => execution))
    expect([...ofResults].filter((id) => id === undefined || withdrawn.has(id))).toEqual([])
    if (state !== 'failed') expect([...published].filter((id) => !withdrawn.has(id) && !ofResults.has(id))).toEqual([])
    expect(world.errors).toEqual([])
    expect(['completed', 'failed', 'cancelled']).toContain(state)
    const result = requester.scheduler.result(jobId)
    if (state === 'completed') expect(result?.shards.map((shard) => shard.state)).toEqual(Array.from({ length: count }, () => 'completed'))
    await world.stop()
  })
})
