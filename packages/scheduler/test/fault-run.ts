import type { Snapshot } from '@skrei/state-store/memory'
import { createSimulation, type SimulatedNode, type Simulation, seededRandom } from '../src/simulation/index.ts'
import { type Course, drawCourse, drawJob, interfere, longest } from './fault-course.ts'
import { mismatched, misplaced, quiet, unperformed, watchInvariants } from './invariants.ts'
import { type Recorder, recorder } from './recorded-transport.ts'
import { sayAgain } from './said-again.ts'

// Not `expect`, nor `node:assert`: this runs without vitest too, and the scheduler's tests do no I/O either.
const mustBeEmpty = (list: readonly string[], what: string): void => {
  if (list.length > 0) throw new Error(what + list.slice(0, 12).join(', '))
}

const mustBePerformed = (world: Simulation): void =>
  mustBeEmpty(
    world.nodes.filter(({ up }) => up).flatMap((node) => unperformed(node).map((what) => `${node.id}: ${what}`)),
    'invariant 9 is broken: ',
  )

type Invariants = ReturnType<typeof watchInvariants>

/** Waits until the job is final. That it never is breaks no law by itself: one was broken before, or an effect is not performed. */
export const finish = async (world: Simulation, invariants: Invariants, requester: SimulatedNode, jobId: string, limit?: number): Promise<string> => {
  try {
    return await world.finish(requester, jobId, limit)
  } catch (error) {
    invariants.checkAll()
    mustBePerformed(world)
    throw new Error(`a job does not end on ${requester.id}: ${(error as Error).message}`, { cause: error })
  }
}

/** Waits the longest deadline; then nothing may be left, and published is what is a result. */
export const checkQuiet = async (world: Simulation, invariants: Invariants, requester: SimulatedNode, jobId: string, longest: number): Promise<void> => {
  await world.clock.advance(longest)
  invariants.checkAll()
  mustBePerformed(world)
  mustBeEmpty(quiet(world), 'invariant 15 is broken: ')
  mustBeEmpty(misplaced(world, requester, jobId), 'invariant 15 is broken: ')
  mustBeEmpty(await mismatched(world, requester, jobId), 'invariant 5 is broken: ')
  mustBeEmpty(world.errors, 'a node reported: ')
}

/** What runs one seed again, from the root of the repository. */
export const replayOf = (seed: number): string => `SKREI_SEEDS=1 SKREI_SEED=${seed} pnpm test packages/scheduler/test/faults.test.ts`

/** For each execution that was asked for, resends and repeated answers included: about eight where nothing is lost. */
const mostMessages = { calm: 10, faulty: 50 }
/** In vain while a peer was away, of whatever little there was to say. */
const resends = 100

/** More than a job may take; milliseconds. */
const mostWait = 1_500_000

interface Submitted {
  readonly requester: SimulatedNode
  readonly id: string
}

/** A network, jobs and faults, all drawn from a seed. Throws when a law is broken or a job does not end. */
export const runSeed = async (seed: number): Promise<void> => {
  const course = drawCourse(seed)
  const messages = recorder()
  const world = await createSimulation({ ...course.options, between: messages.wrap })
  Object.assign(
    world.interference,
    interfere(course, (ms, signal) => waitOf(world, ms, signal)),
  )
  const invariants = watchInvariants(world)
  const jobs = await misfortunes(course, world, invariants, messages)
  for (const { requester, id } of jobs) await finish(world, invariants, requester, id, mostWait)
  await world.clock.advance(longest)
  for (const { requester, id } of jobs) await checkQuiet(world, invariants, requester, id, 0)
  mustBeEmpty(messages.broken, 'invariant 10 is broken: ')
  const perAsk = Math.max(0, messages.count - (course.isCalm ? 0 : resends)) / Math.max(1, messages.asks)
  if (perAsk > (course.isCalm ? mostMessages.calm : mostMessages.faulty)) throw new Error(`invariant 15 is broken: ${perAsk} messages an execution`)
  for (const node of world.nodes) await sayAgain(messages, node, seededRandom(seed))
  // An answer that is given again is sent for a minute at most, with pauses that grow where the network loses it.
  await world.clock.advance(120_000)
  invariants.checkAll()

  const { sends, hints } = world.network.counters()
  await world.clock.advance(world.settings.lease * 4)
  const after = world.network.counters()
  if (after.sends > sends || after.hints > hints) throw new Error('invariant 15 is broken: nodes go on to talk')
  for (const { requester, id } of jobs) mustBeEmpty(unexpected(course, requester, id), 'a job ended as it should not: ')
  await world.stop()
}

const waitOf = (world: Simulation, ms: number, signal?: AbortSignal): Promise<void> =>
  new Promise((resolve, reject) => {
    signal?.throwIfAborted()
    const alarm = world.clock.at(world.clock.now() + ms, resolve)
    const abort = (): void => {
      alarm[Symbol.dispose]()
      reject(signal?.reason as Error)
    }
    signal?.addEventListener('abort', abort, { once: true })
  })

/** All that happens to the network until it is left in peace. The jobs that are still known are those to wait for. */
const misfortunes = async (course: Course, world: Simulation, invariants: Invariants, messages: Recorder): Promise<readonly Submitted[]> => {
  const random = seededRandom((course.options.seed ?? 1) + 1000)
  const one = <T>(list: readonly T[]): T => list[Math.floor(random() * list.length)] as T
  const requesters = world.nodes.slice(0, course.requesters)
  const snapshots = new Map<SimulatedNode, Snapshot>()
  const jumpedAt = new Map<SimulatedNode, number>()
  let jobs: Submitted[] = []
  let submitted = 0

  const restart = async (node: SimulatedNode): Promise<void> => {
    const forgets = (course.anybodyForgets || !requesters.includes(node)) && random() < course.setBacks
    if (!forgets) return await node.restart()
    messages.forget(node.id)
    await node.restart(random() < 0.5 ? snapshots.get(node) : 'empty')
    jobs = jobs.filter(({ requester, id }) => requester !== node || node.scheduler.job(id) !== undefined)
  }

  for (let step = 0; step < course.steps; step++) {
    await world.clock.advance(random() * 1500)
    invariants.checkAll()
    // Before anything else happens in this instant: what changes now, changes for what was said again.
    const told = one(world.nodes)
    if (!course.isCalm && random() < 0.15 && told.up) await sayAgain(messages, told, random)
    if (submitted < course.jobs && (step === 0 || random() < 0.3)) {
      const requester = one(requesters)
      const spec = drawJob(random)
      if (requester.up) jobs.push({ requester, id: await requester.scheduler.submit(spec) })
      submitted++
    }
    if (jobs.length > 0 && random() < course.cancels) {
      const { requester, id } = one(jobs)
      if (requester.up) await requester.scheduler.cancel(id)
    }
    const victim = one(world.nodes)
    if (victim.up && random() < 0.1) snapshots.set(victim, victim.store.snapshot())
    // What a clock was set by, a node must have seen before it crashes: nobody could tell it later.
    const hasSeen = world.clock.now() - (jumpedAt.get(victim) ?? 0) > 2 * world.settings.heartbeat
    if (victim.up && hasSeen && random() < course.crashes) victim.crash()
    else if (!victim.up && random() < 0.5) await restart(victim)
    if (random() < course.partitions) world.network.block(victim.id, one(world.nodes).id)
    if (random() < course.partitions / 2) world.network.partition([world.nodes.filter(() => random() < 0.5).map(({ id }) => id)])
    if (random() < 0.2) world.network.heal()
    if (course.clocksAreWrong && victim.up && random() < 0.1) {
      victim.clock.jump(random() < 0.5 ? 3_600_000 : -3_600_000)
      jumpedAt.set(victim, world.clock.now())
    }
  }
  world.network.heal()
  for (const node of world.nodes) if (!node.up) await restart(node)
  return jobs
}

/** What of a job's end cannot come from what happened to it. */
const unexpected = ({ isCalm, cancels }: Course, requester: SimulatedNode, id: string): readonly string[] => {
  const job = requester.scheduler.result(id)
  if (job === undefined) return ['it is not there']
  const shards = job.shards
  const failsItself = (code: string | undefined): boolean => code === 'exit-nonzero'
  return [
    ...(['completed', 'failed', ...(cancels > 0 ? ['cancelled'] : [])].includes(job.state) ? [] : [`${id} is ${job.state}`]),
    ...(job.state === 'completed'
      ? shards.filter(({ state, failure }) => state !== 'completed' && failure === undefined).map(({ index, state }) => `shard ${index} of ${id} is ${state}`)
      : []),
    ...(isCalm && job.state !== 'cancelled'
      ? shards.flatMap(({ index, state, failure, executions }) => [
          ...(state === 'completed' || failsItself(failure?.code) ? [] : [`shard ${index} of ${id} is ${state} for ${failure?.code} ${failure?.detail}`]),
          ...(executions.length === 1 ? [] : [`shard ${index} of ${id} took ${executions.length} executions`]),
        ])
      : []),
  ]
}
