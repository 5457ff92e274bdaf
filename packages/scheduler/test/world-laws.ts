import type { StateStore } from '@skrei/state-store'
import { memoryStateStore } from '@skrei/state-store/memory'
import type { Transition } from '../src/kernel/event.ts'
import type { ComputeContext } from '../src/machines/compute-execution.ts'
import type { ExecutionContext } from '../src/machines/execution.ts'
import type { ShardContext } from '../src/machines/shard.ts'
import type { Happened, SimulatedNode, Simulation } from '../src/simulation/index.ts'
import { broken } from './store-laws.ts'

const everything = 1_000_000
/** What happens in the world is done by an effect of this type. */
const effects: Readonly<Partial<Record<Happened['what'], string>>> = { started: 'run', stopped: 'stop', published: 'publish', unpublished: 'unpublish' }
/** How much later than its time a deadline may fire: turns take no time here; milliseconds. */
const grace = 1000
/** Of times that two clocks round; milliseconds. */
const rounding = 5

/** What a job that was cancelled does not come to any more. */
const permitted: Readonly<Record<string, readonly string[]>> = {
  job: ['running', 'completed', 'failed'],
  shard: ['completed'],
  execution: ['awarding', 'accepted', 'matching', 'judged', 'completed'],
}

interface Accept {
  readonly shard: string
  readonly epoch: number
  readonly at: number
}

/** The laws whose evidence is what was seen to happen, and not what a store says of it later: a mutant may well write what it should. */
export const watchWorld = (world: Simulation) => {
  const outcomes = new Map<string, string>()
  const completed = new Map<string, string>()
  /** By execution: its requester. One that is set back has forgotten what came of it, and may be told something else. */
  const heardBy = new Map<string, string>()
  /** By execution. */
  const accepts = new Map<string, Accept>()
  /** By requester and shard: the latest. */
  const latest = new Map<string, Accept>()
  /** The incarnation of its node when an execution was first seen at its requester. */
  const incarnations = new Map<string, number | undefined>()
  /** By execution that was declared lost: its requester. */
  const lost = new Map<string, string>()
  const stopped = new Set<string>()
  /** By node and job. */
  const cancelled = new Set<string>()
  /** By node and object: the last entry of its history that is accounted for. */
  const written = new Map<string, number>()
  /** By node: how far its own time is ahead of the time since it exists. */
  const times = new Map<string, { readonly life: unknown; readonly ahead: number }>()

  const incarnationOf = (id: string): number | undefined => {
    const node = world.nodes.find((one) => one.id === id)
    return node?.up === true ? node.store.read((reader) => reader.get('node', 'self'))?.version : undefined
  }

  /** What a node has stored, be it up or down. */
  const stored = (node: SimulatedNode): StateStore | undefined => (node.up ? node.store : node.image && memoryStateStore({ from: node.image }))

  /** Invariant 5: one outcome and one result for each execution, an epoch of its own for each accept, and only what was published under it counts. */
  const checkAccept = (node: SimulatedNode, { kind, id, from, to, event, context }: Transition): void => {
    if (kind === 'execution') {
      const execution = context as unknown as ExecutionContext
      const { outcome, reference, epoch, shardId } = execution
      if (!incarnations.has(id)) incarnations.set(id, incarnationOf(execution.node))
      const said = outcome && JSON.stringify(outcome)
      if ((outcomes.get(id) ?? said) !== said) broken(node, 5, `the accepted outcome of ${id} was ${outcomes.get(id)}, is ${said}`)
      if (said !== undefined) outcomes.set(id, said)
      heardBy.set(id, node.id)
      if (to === 'completed') completed.set(id, JSON.stringify([outcome, reference]))
      if (from === 'accepted' && to !== 'accepted' && event.type === 'published' && event['epoch'] !== epoch)
        broken(node, 5, `${id}, accepted in epoch ${epoch}, took what was published in epoch ${String(event['epoch'])}`)
      if (to !== 'accepted' || from === 'accepted') return
      const shard = `${node.id} ${shardId}`
      const before = latest.get(shard)
      if (before !== undefined && epoch <= before.epoch) broken(node, 5, `${id} was accepted in epoch ${epoch}, after epoch ${before.epoch} of ${shardId}`)
      const accept = { shard, epoch, at: world.clock.now() }
      accepts.set(id, accept)
      latest.set(shard, accept)
    }
    if (kind === 'shard' && to === 'completed') {
      const { result, reference, executions } = context as unknown as ShardContext
      if (completed.get(executions.at(-1)?.id ?? '') !== JSON.stringify([result, reference]))
        broken(node, 5, `the result of shard ${id} is not what its execution was accepted with`)
    }
  }

  /** Invariant 4: each attempt is one that its job pays for. Refused awards cost none. */
  const checkAttempts = (node: SimulatedNode, { kind, id, from, to, context }: Transition): void => {
    if (kind !== 'shard' || from === to) return
    const { executions, retry } = context as unknown as ShardContext
    const attempts = executions.filter(({ outcome }) => outcome !== 'refused').length
    if (attempts > retry.attempts) broken(node, 4, `shard ${id} had ${attempts} executions of ${retry.attempts} attempts`)
  }

  /**
   * Invariant 17, which is PROTOCOL.md's rule 12: the transaction of a cancel is the point from which on nothing of the job is awarded or accepted, no permission to publish is written, and nothing
   * completes, whatever is on its way.
   */
  const checkCancelled = (node: SimulatedNode, { kind, id, from, to, event, context }: Transition): void => {
    if (kind === 'job' && from !== to && event.type === 'cancel') cancelled.add(`${node.id} ${id}`)
    if (cancelled.size === 0 || from === to) return
    const job = kind === 'job' ? id : kind === 'shard' ? (context as unknown as ShardContext).jobId : kind === 'execution' ? jobOf(context) : ''
    if (cancelled.has(`${node.id} ${job}`) && (permitted[kind] ?? []).includes(to)) broken(node, 17, `${kind} ${id} became ${to} after its job was cancelled`)
  }
  const jobOf = (context: Transition['context']): string => {
    const { shardId } = context as unknown as ExecutionContext
    return shardId.slice(0, shardId.lastIndexOf('/'))
  }

  /** Invariant 11. Lost from `awarding` is no matter of leases: the node has none until it got the award. */
  const checkLost = (requester: SimulatedNode, { kind, id, from, to, context }: Transition): void => {
    if (kind !== 'execution' || to !== 'lost' || (from !== 'running' && from !== 'accepted')) return
    lost.set(id, requester.id)
    const node = world.nodes.find((one) => one.id === (context as unknown as ExecutionContext).node)
    const state = node?.up === true ? node.store.read((reader) => reader.get('compute', id))?.state : undefined
    // Not even a new incarnation publishes before it is heard.
    if (node?.publishing.has(id) === true && node.setBacks === 0) broken(requester, 11, `${id} was declared lost while ${node.id} publishes it`)
    if (node === undefined || (state !== 'staging' && state !== 'running') || incarnationOf(node.id) !== incarnations.get(id)) return
    broken(requester, 11, `${id} was declared lost while ${node.id} has it in ${state}`)
  }

  /** Invariant 7: whoever has let a bid go has told so, or will; it does not lie with the bidder until it lapses. */
  const checkLapse = (node: SimulatedNode, { kind, id, from, to, context }: Transition): void => {
    if (kind !== 'compute' || from !== 'reserved' || to !== 'expired') return
    const { requester, askId, job, shard } = context as unknown as ComputeContext
    const asking = world.nodes.find((one) => one.id === requester)
    // Who is down for as long as the bid was firm could not say anything.
    if (asking?.up !== true || asking.setBacks > 0 || node.setBacks > 0 || isNewHere(asking)) return
    const known = asking.store.read((reader) => ({
      awarded: reader.get('execution', id),
      shard: reader.get('shard', askId.slice(0, askId.lastIndexOf('/'))),
      releases: reader.pending(0, everything).some(({ data }) => (data as { message?: string; to?: string } | null)?.message === 'release'),
    }))
    if (known.awarded !== undefined || known.shard === undefined || known.releases) return
    const { asked } = known.shard.data as unknown as ShardContext
    if (known.shard.open && asked.some((one) => one.execution === id)) return
    broken(node, 7, `${requester} let the bid ${id} for shard ${shard.index} of ${job} go and told nobody`)
  }
  const startedAt = new Map<string, { readonly life: unknown; readonly at: number }>()
  const isNewHere = (node: SimulatedNode): boolean => {
    const known = startedAt.get(node.id)
    if (known?.life === node.scheduler) return world.clock.now() - known.at < world.settings.bidTtl * 2
    startedAt.set(node.id, { life: node.scheduler, at: world.clock.now() })
    return true
  }

  /** Invariant 16, which is PROTOCOL.md's besides its fifteen (a transition writes its history): a state that was entered stands in the object's history, in its order. */
  const checkHistory = (node: SimulatedNode, { kind, id, from, to }: Transition): void => {
    if (from === to) return
    const key = `${node.id} ${kind} ${id}`
    const entries = node.store.read((reader) => reader.history(kind, id, written.get(key) ?? 0, everything))
    const entry = entries.find(({ data }) => (data as { to?: string }).to === to)
    if (entry === undefined) broken(node, 16, `that ${kind} ${id} became ${to} is not in its history`)
    else written.set(key, entry.sequence)
  }

  /** Invariant 8: a deadline fires at its time. */
  const checkOverdue = (node: SimulatedNode): void => {
    const time = times.get(node.id)
    if (time?.life !== node.scheduler) return
    const now = node.clock.elapsed() + time.ahead
    const [late] = node.store.read((reader) => reader.due(now - grace, 1))
    if (late) broken(node, 8, `the deadline of ${late.kind} ${late.id} is ${Math.round(now - late.at)} ms overdue`)
  }

  /** Invariants 6 and 11: nothing is published without an accept, nor when its time is over, nor once it is lost, or another was accepted. */
  const checkPublished = (node: SimulatedNode, execution: string): void => {
    const accept = accepts.get(execution) ?? acceptInStores(node, execution)
    if (accept === undefined) {
      broken(node, 6, `${execution} was published without an accept`)
      return
    }
    // It may run again what it had published, and is answered as before.
    if (node.setBacks > 0) return
    if (lost.has(execution)) broken(node, 11, `${execution} was published after ${lost.get(execution)} had declared it lost`)
    const late = world.clock.now() - accept.at
    if (late > world.settings.publish + rounding)
      broken(node, 6, `${execution} was published ${Math.round(late)} ms after its accept, for ${world.settings.publish} ms it might`)
    const other = latest.get(accept.shard)
    if (other !== undefined && other.epoch > accept.epoch)
      broken(node, 6, `${execution} of epoch ${accept.epoch} was published after epoch ${other.epoch} was accepted`)
  }

  /** A requester that crashed in the moment in which its accept became durable told nobody. */
  const acceptInStores = (node: SimulatedNode, execution: string): Accept | undefined => {
    const compute = node.store.read((reader) => reader.get('compute', execution))?.data as unknown as ComputeContext | undefined
    const requester = world.nodes.find(({ id }) => id === compute?.requester)
    const store = requester && stored(requester)
    const row = store?.read((reader) => reader.get('execution', execution))?.data as unknown as ExecutionContext | undefined
    const entry = store?.read((reader) => reader.history('execution', execution, 0, everything)).find(({ data }) => (data as { to?: string }).to === 'accepted')
    if (requester === undefined || row === undefined || entry === undefined || row.epoch !== compute?.epoch) return undefined
    return { shard: `${requester.id} ${row.shardId}`, epoch: row.epoch, at: world.clock.now() }
  }

  return {
    /** Its store was set back: what it did before, it does not know of. */
    forget: (node: SimulatedNode): void => {
      for (const known of [written, latest, cancelled]) for (const key of known.keys()) if (key.startsWith(`${node.id} `)) known.delete(key)
      for (const [id, requester] of lost) if (requester === node.id) lost.delete(id)
      for (const [id, requester] of heardBy) if (requester === node.id) for (const known of [outcomes, completed]) known.delete(id)
    },
    checkOverdue,
    onTransition: (node: SimulatedNode, transition: Transition): void => {
      times.set(node.id, { life: node.scheduler, ahead: transition.at - node.clock.elapsed() })
      if (startedAt.get(node.id)?.life !== node.scheduler) isNewHere(node)
      checkAccept(node, transition)
      checkAttempts(node, transition)
      checkCancelled(node, transition)
      checkLost(node, transition)
      if (!node.up) return
      checkLapse(node, transition)
      checkHistory(node, transition)
      checkOverdue(node)
    },
    onHappened: (node: SimulatedNode, { what, execution }: Happened): void => {
      if (what === 'started' && stopped.has(execution)) broken(node, 3, `${execution} started after it was stopped`)
      if (what === 'stopped') stopped.add(execution)
      if (what === 'stopped' && node.running.has(execution)) broken(node, 3, `${execution} runs on after it was stopped`)
      const type = effects[what]
      if (type === undefined || !node.up) return
      const rows = node.store.read((reader) => reader.pending(0, everything))
      if (!rows.some((row) => row.id === execution && row.type === type)) broken(node, 9, `${type} of ${execution} has no row in the outbox`)
      if (what === 'published') checkPublished(node, execution)
    },
  }
}
