import assert from 'node:assert/strict'
import { type CrashPoint, createSimulation } from '../src/simulation/index.ts'
import { checkQuiet } from './fault-run.ts'
import { watchInvariants } from './invariants.ts'
import { noopJob } from './noop-job.ts'

/** Where one node crashes while a job of two shards runs, and when it comes back; or at which event the job is cancelled. */
export type Misfortune =
  | { readonly at: 'nothing' }
  | { readonly at: 'event'; readonly count: number }
  | { readonly at: CrashPoint; readonly count: number; readonly side: 'requester' | 'compute'; readonly restart: 'at once' | 'after the lease' | 'never' }

/** How many points there are. */
export interface Points {
  readonly requester: Readonly<Record<CrashPoint, number>>
  readonly compute: Readonly<Record<CrashPoint, number>>
  readonly events: number
}

const lease = 3000
/** The time for each wait of the job and of the nodes is short, so that all is over soon. */
const settings = {
  lease,
  heartbeat: 1000,
  bidWindow: 20,
  bidTtl: 5000,
  stage: 10_000,
  publish: 20_000,
  match: 10_000,
  stop: 5000,
  retention: 60_000,
  announcementTtl: 6000,
}
const longest = 200_000

/** The job ends, the laws hold after every event, and nothing is left: with `nodes` compute nodes, of which the first may crash. */
export const runMisfortune = async (nodes: number, misfortune: Misfortune): Promise<Points> => {
  const counts = { requester: { write: 0, commit: 0, effect: 0 }, compute: { write: 0, commit: 0, effect: 0 } }
  let begun = false
  let struck = false
  const world = await createSimulation({
    nodes: 1 + nodes,
    requesterOnly: true,
    link: { latency: 5 },
    settings,
    // Room for one shard on each of two nodes: both get work.
    ...(nodes > 1 && { capacity: { cpu: 500 } }),
    crash: (node, point) => {
      const side = node === 'node-0000' ? 'requester' : node === 'node-0001' ? 'compute' : undefined
      if (!begun || side === undefined) return false
      const count = ++counts[side][point]
      const falls = 'side' in misfortune && misfortune.side === side && misfortune.at === point && misfortune.count === count
      struck ||= falls
      return falls
    },
  })
  const invariants = watchInvariants(world)
  const [requester, compute] = [world.node(0), world.node(1)]
  const victim = 'side' in misfortune && misfortune.side === 'requester' ? requester : compute
  const { onEvent } = world
  let events = 0
  world.onEvent = (node, event) => {
    onEvent(node, event)
    if (++events !== (misfortune.at === 'event' && misfortune.count)) return
    struck = true
    queueMicrotask(() => void requester.scheduler.cancel(view()?.id ?? '').catch((error: unknown) => world.errors.push(String(error))))
  }
  const job = noopJob({
    sharding: { count: 2 },
    engine: { type: 'noop', duration: 300, files: { '/out/a': 'x' } },
    timeouts: { queue: 60_000 },
    retry: { attempts: 20 },
  })
  const submit = (): void => void requester.scheduler.submit(job).catch(() => {})
  const end = world.clock.now() + 600_000
  const view = () => requester.scheduler.jobs({ limit: 2 })[0]
  let restartAt: number | undefined

  begun = true
  submit()
  for (;;) {
    await world.clock.advance(10)
    invariants.checkAll()
    if (!victim.up && 'side' in misfortune && misfortune.restart !== 'never') {
      restartAt ??= world.clock.now() + (misfortune.restart === 'at once' ? 0 : lease * 1.5)
      if (world.clock.now() >= restartAt) await victim.restart()
    }
    if (!requester.up) continue
    const now = view()
    // It crashed before it had taken the job.
    if (now === undefined) submit()
    // A node that crashes when the job is over comes back too.
    if (now?.open === false && (victim.up || ('side' in misfortune && misfortune.restart === 'never'))) break
    assert.ok(world.clock.now() < end, `invariant 15 is broken: the job is still ${now?.state}`)
  }
  const { id, state } = view() ?? { id: '', state: '' }
  // What comes after the end of the job (settling, cleaning) has its points too: a node that falls there comes back as well.
  for (let waited = 0; waited < 5000; waited += 100) {
    await world.clock.advance(100)
    if (!victim.up && 'side' in misfortune && misfortune.restart !== 'never') await victim.restart()
  }
  assert.equal(requester.scheduler.jobs({ limit: 2 }).length, 1)
  assert.ok(state === 'completed' || (misfortune.at === 'event' && state === 'cancelled'), `the job is ${state}`)
  assert.equal(struck, misfortune.at !== 'nothing', 'it struck')
  await checkQuiet(world, invariants, requester, id, longest)
  await world.stop()
  return { ...structuredClone(counts), events }
}

/** As text, for a message and for the environment. */
export const nameOf = (nodes: number, misfortune: Misfortune): string => JSON.stringify([nodes, misfortune])
