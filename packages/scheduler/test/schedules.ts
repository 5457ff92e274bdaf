import { type AnyDraft, encodeMessage } from '@skrei/protocol'
import { createSimulation, type SimulatedNode } from '../src/simulation/index.ts'
import { checkQuiet, finish, runSeed } from './fault-run.ts'
import { watchInvariants } from './invariants.ts'
import { noopJob } from './noop-job.ts'
import { recorder } from './recorded-transport.ts'

/** A mutant is found out in the first few. */
const seeds = 32

/** Named courses of events, each made to meet one kind of fault. They throw when a law is broken. */
const schedules: Readonly<Record<string, (isSought: (broken: string) => boolean) => Promise<void>>> = {
  /** Of several seeds that break something, the first that breaks what is sought is told; else the first. */
  seeds: async (isSought) => {
    let first: Error | undefined
    for (let seed = 1; seed <= seeds; seed++) {
      try {
        await runSeed(seed)
      } catch (error) {
        const message = error instanceof Error ? error.message : String(error)
        const broken = new Error(`${message} (seed ${seed})`, { cause: error })
        if (isSought(message)) throw broken
        first ??= broken
      }
    }
    if (first) throw first
  },

  /** A job is cancelled before, while and after a process starts, which takes longer than the stop. */
  'slow start': async () => {
    for (let cancelAt = 50; cancelAt <= 1200; cancelAt += 50) {
      const world = await createSimulation({ nodes: 2, requesterOnly: true, link: { latency: 5 } })
      world.interference.start = () => new Promise((resolve) => void world.clock.at(world.clock.now() + 500, resolve))
      const invariants = watchInvariants(world)
      const requester = world.node(0)
      const job = await requester.scheduler.submit(noopJob({ engine: { type: 'noop', duration: 300, files: { '/out/a': 'x' } } }))
      await world.clock.advance(cancelAt)
      await requester.scheduler.cancel(job)
      await finish(world, invariants, requester, job, 60_000)
      await checkQuiet(world, invariants, requester, job, 60_000)
      await world.stop()
    }
  },

  /** All that was said is said again after both have restarted: what is answered is answered in the same bytes. */
  'said again': async () => {
    const messages = recorder()
    const world = await createSimulation({ nodes: 2, requesterOnly: true, link: { latency: 5 }, between: messages.wrap })
    const invariants = watchInvariants(world)
    const requester = world.node(0)
    const job = await requester.scheduler.submit(noopJob())
    await finish(world, invariants, requester, job, 60_000)
    // What was sent is off the outbox: to send it again to a node that is not up yet would hold up the answers.
    await world.clock.advance(200)
    for (const node of world.nodes) node.crash()
    for (const node of world.nodes) await node.restart()
    for (const { from, to, bytes } of messages.sent.slice()) {
      void world.nodes.find(({ id }) => id === from)?.transport.send(to, [bytes], {})
      await world.clock.advance(50)
    }
    if (messages.broken.length > 0) throw new Error(`invariant 10 is broken: ${messages.broken[0]}`)
    await checkQuiet(world, invariants, requester, job, 7_200_000)
    await world.stop()
  },

  /** The requester is away for half a lease, wherever its deadline about the node lies. */
  'requester away': async () => {
    for (let from = 200; from <= 3800; from += 400) {
      const world = await createSimulation({ nodes: 2, requesterOnly: true, link: { latency: 5 } })
      const invariants = watchInvariants(world)
      const requester = world.node(0)
      const job = await requester.scheduler.submit(noopJob({ engine: { type: 'noop', duration: 8000, files: { '/out/a': 'x' } } }))
      await world.clock.advance(from)
      requester.crash()
      await world.clock.advance(1500)
      await requester.restart()
      await finish(world, invariants, requester, job, 120_000)
      await checkQuiet(world, invariants, requester, job, 60_000)
      await world.stop()
    }
  },

  /** A node reports an outcome, which is accepted, restarts, and reports another one before it publishes. */
  'two outcomes': () => liarAfterAccept((execution) => ({ type: 'finished', body: { execution, digest: '0'.repeat(64), exit: 0, usage: {}, facts: {} } })),

  /** A node crashes while it publishes, and is back before its requester gives it up, or after. */
  'away while publishing': async () => {
    for (const away of [500, 2000, 3500, 5000, 8000]) {
      const world = await createSimulation({ nodes: 3, requesterOnly: true, link: { latency: 5 } })
      // The first one takes long enough to be caught, the next ones less than a word to the requester and back.
      let duration = 200
      world.interference.publish = async () => {
        const end = world.clock.now() + duration
        duration = 2
        await new Promise<void>((resolve) => void world.clock.at(end, resolve))
      }
      const invariants = watchInvariants(world)
      const requester = world.node(0)
      const job = await requester.scheduler.submit(noopJob({ retry: { attempts: 5 } }))
      let node: SimulatedNode | undefined
      while (node === undefined && (await world.clock.next())) node = world.nodes.find(({ publishing }) => publishing.size > 0)
      node?.crash()
      await world.clock.advance(away)
      await node?.restart()
      await finish(world, invariants, requester, job, 120_000)
      await checkQuiet(world, invariants, requester, job, 7_200_000)
      await world.stop()
    }
  },

  /** A node says that it published, in an epoch that was never accepted. */
  'another epoch': () =>
    liarAfterAccept((execution) => ({
      type: 'published',
      body: {
        execution,
        round: 0,
        epoch: 7,
        digest: '0'.repeat(64),
        reference: { type: 'ipfs', cid: 'bafkreigh2akiscaildcqabsyg3dfr6chu3fgpregiymsck7e7aqa4s52zy' },
      },
    })),
}

/** An outcome is accepted; the node crashes before it knows, and somebody says something else with its key before it is back. */
const liarAfterAccept = async (lie: (execution: string) => object): Promise<void> => {
  const world = await createSimulation({ nodes: 2, requesterOnly: true, link: { latency: 5 } })
  const invariants = watchInvariants(world)
  const [requester, node] = [world.node(0), world.node(1)]
  let accepted: string | undefined
  const { onEvent } = world
  world.onEvent = (at, event) => {
    onEvent(at, event)
    if (event.type === 'transition' && event.transition.kind === 'execution' && event.transition.to === 'accepted') accepted ??= event.transition.id
  }
  const job = await requester.scheduler.submit(noopJob({ retry: { attempts: 5 } }))
  while (accepted === undefined) await world.clock.next()
  node.crash()
  const liar = world.network.join(node.id)
  await liar.start()
  const envelope = { network: 'test', from: node.id, to: requester.id, incarnation: { counter: 2, id: 'f'.repeat(16) } }
  const said = encodeMessage({ ...envelope, ...lie(accepted) } as AnyDraft, () => new Uint8Array(64))
  const sending = liar.send(requester.id, [said], {})
  await world.clock.advance(100)
  await sending
  await liar[Symbol.asyncDispose]()
  await world.clock.advance(100)
  invariants.checkAll()
  await node.restart()
  await finish(world, invariants, requester, job, 1_000_000)
  await checkQuiet(world, invariants, requester, job, 7_200_000)
  await world.stop()
}

/** `isSought`: which of the laws that are found broken is to be told. */
export const play = async (name: string, isSought: (broken: string) => boolean = () => true): Promise<void> => {
  const schedule = schedules[name]
  if (schedule === undefined) throw new Error(`no schedule ${name}`)
  await schedule(isSought)
}
