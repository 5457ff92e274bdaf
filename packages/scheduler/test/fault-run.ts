import { createSimulation, type SimulatedNode, type Simulation, seededRandom } from '../src/simulation/index.ts'
import { misplaced, quiet, watchInvariants } from './invariants.ts'
import { noopJob } from './noop-job.ts'
import { recorder } from './recorded-transport.ts'

// Not `expect`, nor `node:assert`: this runs without vitest too, and the scheduler's tests do no I/O either.
const mustBeEmpty = (list: readonly string[], what: string): void => {
  if (list.length > 0) throw new Error(what + list.join(', '))
}

type Invariants = ReturnType<typeof watchInvariants>

/** Waits until the job is final. That it never is breaks a law too, unless another one was broken before. */
export const finish = async (world: Simulation, invariants: Invariants, requester: SimulatedNode, jobId: string, limit?: number): Promise<string> => {
  try {
    return await world.finish(requester, jobId, limit)
  } catch (error) {
    invariants.checkAll()
    throw new Error(`invariant 15 is broken on ${requester.id}: ${(error as Error).message}`, { cause: error })
  }
}

/** Waits the longest deadline; then nothing may be left, and published is what is a result. */
export const checkQuiet = async (world: Simulation, invariants: Invariants, requester: SimulatedNode, jobId: string, longest: number): Promise<void> => {
  await world.clock.advance(longest)
  invariants.checkAll()
  mustBeEmpty(quiet(world), 'invariant 15 is broken: ')
  mustBeEmpty(misplaced(world, requester, jobId), 'invariant 15 is broken: ')
  mustBeEmpty(world.errors, 'a node reported: ')
}

/** What runs one seed again, from the root of the repository. */
export const replayOf = (seed: number): string => `SKREI_SEEDS=1 SKREI_SEED=${seed} pnpm test packages/scheduler/test/faults.test.ts`

/** A network, a job and faults, all drawn from a seed. Throws when a law is broken or the job does not end. */
export const runSeed = async (seed: number): Promise<void> => {
  const random = seededRandom(seed)
  const share = (most: number): number => (random() < 0.5 ? 0 : random() * most)
  const messages = recorder()
  // Of every fourth, the clocks run apart and are set; drawn apart, so that what else happens in a seed stays as it was.
  const clocks = seededRandom(seed * 7919)
  const areWrong = seed % 4 === 0
  const world = await createSimulation({
    between: messages.wrap,
    ...(areWrong && { rate: () => 0.9 + clocks() * 0.2 }),
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
      engine: { type: 'noop', duration: 200 + Math.floor(random() * 3000), files: { '/out/a': 'x' }, stdout: 'said', ...(random() < 0.1 && { exit: 3 }) },
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
    if (areWrong && clocks() < 0.15) victim.clock.jump(clocks() < 0.5 ? 3_600_000 : -3_600_000)
  }
  world.network.heal()
  for (const node of world.nodes) if (!node.up) await node.restart()
  const state = await finish(world, invariants, requester, jobId)
  await checkQuiet(world, invariants, requester, jobId, 7_200_000)
  mustBeEmpty(messages.broken, 'invariant 10 is broken: ')
  if (!['completed', 'failed', 'cancelled'].includes(state)) throw new Error(`the job ended ${state}`)
  const states = requester.scheduler.result(jobId)?.shards.map((shard) => shard.state) ?? []
  if (state === 'completed' && (states.length !== count || states.some((one) => one !== 'completed')))
    throw new Error(`the job of ${count} shards is completed, its shards are ${states.join(', ')}`)
  await world.stop()
}
