import type { Row, StateStore } from '@skrei/state-store'
import { memoryStateStore } from '@skrei/state-store/memory'
import type { Transition } from '../src/kernel/event.ts'
import type { Ledger } from '../src/kernel/ledger.ts'
import { type ComputeContext, computeHolds } from '../src/machines/compute-execution.ts'
import type { ExecutionContext } from '../src/machines/execution.ts'
import type { ShardContext } from '../src/machines/shard.ts'
import type { Happened, SimulatedNode, Simulation } from '../src/simulation/index.ts'

const resources = ['cpu', 'memory', 'disk'] as const
const everything = 1_000_000
/** What happens in the world is done by an effect of this type. */
const effects: Readonly<Partial<Record<Happened['what'], string>>> = { started: 'run', stopped: 'stop', published: 'publish', unpublished: 'unpublish' }

/** The invariants of PROTOCOL.md that concern a release without verification, by their numbers. Throws at the first that does not hold. */
export const watchInvariants = (world: Simulation): { checks: number; checkAll(): void } => {
  const results = new Map<string, string>()
  const finals = new Map<string, string>()
  const outcomes = new Map<string, string>()
  const completed = new Map<string, string>()
  const epochs = new Map<string, number>()
  /** The incarnation of its node when an execution was first seen at its requester. */
  const incarnations = new Map<string, number | undefined>()
  const stopped = new Set<string>()
  const counter = { checks: 0, checkAll: () => world.nodes.filter(({ up }) => up).forEach(check) }

  const broken = (node: SimulatedNode, number: number, what: string): never => {
    throw new Error(`invariant ${number} is broken on ${node.id}: ${what}`)
  }

  const check = (node: SimulatedNode): void => {
    counter.checks++
    const all = (kind: string, where: { open?: boolean } = {}): readonly Row[] =>
      node.store.read((reader) => reader.list(kind, { ...where, limit: everything }))
    const compute = all('compute', { open: true })

    const held = { cpu: 0, memory: 0, disk: 0 }
    const devices = new Map<string, string>()
    for (const { id, state, data } of compute) {
      const holding = computeHolds(state, data as unknown as ComputeContext)
      if (holding === undefined) continue
      for (const resource of resources) held[resource] += holding[resource]
      for (const device of holding.devices) {
        if (devices.has(device)) broken(node, 1, `device ${device} is held by ${devices.get(device)} and ${id}`)
        devices.set(device, id)
      }
    }
    const ledger = (node.store.read((reader) => reader.get('ledger', 'node'))?.data ?? { cpu: 0, memory: 0, disk: 0 }) as unknown as Ledger
    for (const resource of resources) {
      if (held[resource] > node.limits[resource]) broken(node, 1, `${held[resource]} of ${resource} reserved, ${node.limits[resource]} there is`)
      if (held[resource] !== ledger[resource]) broken(node, 1, `the ledger says ${ledger[resource]} of ${resource}, the rows ${held[resource]}`)
    }

    const running = { cpu: 0, memory: 0 }
    for (const [id, task] of node.running) {
      running.cpu += task.resources.cpu
      running.memory += task.resources.memory
      const row = compute.find((one) => one.id === id)
      if (row === undefined || computeHolds(row.state, row.data as unknown as ComputeContext)?.cpu !== task.resources.cpu)
        broken(node, 2, `${id} runs without a reservation`)
    }
    if (running.cpu > node.limits.cpu || running.memory > node.limits.memory) broken(node, 2, 'more runs than there is room for')

    const live = new Map<string, string>()
    for (const { id, state, open, parent = '', data } of all('execution')) {
      const { outcome, reference, node: at } = data as unknown as ExecutionContext
      if (open && live.has(parent)) broken(node, 4, `${live.get(parent)} and ${id} both have shard ${parent}`)
      if (open) live.set(parent, id)
      if (!incarnations.has(id)) incarnations.set(id, incarnationOf(at))
      const said = outcome && JSON.stringify(outcome)
      if ((outcomes.get(id) ?? said) !== said) broken(node, 5, `the accepted outcome of ${id} was ${outcomes.get(id)}, is ${said}`)
      if (said !== undefined) outcomes.set(id, said)
      if (state === 'completed') completed.set(id, JSON.stringify([outcome, reference]))
    }

    for (const { id, state, data } of all('shard')) {
      const shard = data as unknown as ShardContext
      const result = shard.result && JSON.stringify([shard.result, shard.reference, shard.epoch])
      const before = results.get(`${node.id} ${id}`)
      if (before !== undefined && before !== result) broken(node, 5, `the result of shard ${id} changed`)
      if ((epochs.get(`${node.id} ${id}`) ?? 0) > shard.epoch) broken(node, 5, `the epoch of shard ${id} fell to ${shard.epoch}`)
      epochs.set(`${node.id} ${id}`, shard.epoch)
      if (state === 'completed' && completed.get(shard.executions.at(-1)?.id ?? '') !== JSON.stringify([shard.result, shard.reference]))
        broken(node, 5, `the result of shard ${id} is not what its execution was accepted with`)
      if (result !== undefined && state === 'completed') results.set(`${node.id} ${id}`, result)
    }

    for (const { id, data } of compute) {
      const { bypassed = 0 } = data as unknown as ComputeContext
      if (bypassed > world.bypasses) broken(node, 15, `${id} was bypassed ${bypassed} times`)
    }

    const deadlines = new Set(node.store.read((reader) => reader.due(Number.MAX_SAFE_INTEGER, everything)).map(({ kind, id }) => `${kind} ${id}`))
    for (const kind of ['job', 'shard', 'execution', 'compute']) {
      for (const { id, open, state, version } of all(kind)) {
        const key = `${node.id} ${kind} ${id}`
        if (!open) {
          const final = `${state} ${version}`
          if ((finals.get(key) ?? final) !== final) broken(node, 7, `${kind} ${id} was ${finals.get(key)}, is ${final}`)
          finals.set(key, final)
        }
        if (open !== deadlines.has(`${kind} ${id}`)) broken(node, open ? 8 : 7, `${kind} ${id} in ${state} ${open ? 'has no' : 'still has a'} deadline`)
      }
    }
  }

  const incarnationOf = (id: string): number | undefined => {
    const node = world.nodes.find((one) => one.id === id)
    return node?.up === true ? node.store.read((reader) => reader.get('node', 'self'))?.version : undefined
  }

  /** What a node has stored, be it up or down. */
  const stored = (node: SimulatedNode): StateStore | undefined => (node.up ? node.store : node.image && memoryStateStore({ from: node.image }))

  /** Lost from `awarding` is no matter of leases: the node has none until it got the award. */
  const checkLost = (requester: SimulatedNode, { kind, id, from, to, context }: Transition): void => {
    if (kind !== 'execution' || to !== 'lost' || (from !== 'running' && from !== 'accepted')) return
    const node = world.nodes.find((one) => one.id === (context as unknown as ExecutionContext).node)
    const state = node?.up === true ? node.store.read((reader) => reader.get('compute', id))?.state : undefined
    if (node === undefined || (state !== 'staging' && state !== 'running') || incarnationOf(node.id) !== incarnations.get(id)) return
    broken(requester, 11, `${id} was declared lost while ${node.id} has it in ${state}`)
  }

  const checkHappened = (node: SimulatedNode, { what, execution }: Happened): void => {
    if (what === 'started' && stopped.has(execution)) broken(node, 3, `${execution} started after it was stopped`)
    if (what === 'stopped') stopped.add(execution)
    if (what === 'stopped' && node.running.has(execution)) broken(node, 3, `${execution} runs on after it was stopped`)
    const type = effects[what]
    if (type === undefined || !node.up) return
    const rows = node.store.read((reader) => reader.pending(0, everything))
    if (!rows.some((row) => row.id === execution && row.type === type)) broken(node, 9, `${type} of ${execution} has no row in the outbox`)
    if (what !== 'published') return
    const compute = node.store.read((reader) => reader.get('compute', execution))?.data as ComputeContext | undefined
    const { requester, epoch } = compute ?? {}
    const from = world.nodes.find(({ id }) => id === requester)
    const accepted =
      from && stored(from)?.read((reader) => [reader.get('execution', execution), reader.history('execution', execution, 0, everything)] as const)
    if (accepted === undefined) return
    const [row, history] = accepted
    if ((row?.data as ExecutionContext | undefined)?.epoch !== epoch || !history.some(({ data }) => (data as { to?: string }).to === 'accepted'))
      broken(node, 6, `${execution} was published in epoch ${epoch} without an accept`)
  }

  const failures: unknown[] = []
  const guarded = (law: () => void): void => {
    try {
      law()
    } catch (error) {
      failures.push(error)
    }
  }
  world.onEvent = (node, event) =>
    guarded(() => {
      if (node.up) check(node)
      if (event.type === 'transition') checkLost(node, event.transition)
    })
  world.onHappened = (node, one) => guarded(() => checkHappened(node, one))
  return {
    get checks() {
      return counter.checks
    },
    checkAll: () => {
      if (failures.length > 0) throw failures[0]
      counter.checkAll()
    },
  }
}

/** Once nothing happens any more: nothing is left anywhere (invariant 15). */
export const quiet = (world: Simulation): readonly string[] =>
  world.nodes
    .filter(({ up }) => up)
    .flatMap((node) => {
      const left = [
        ...['job', 'shard', 'execution', 'compute'].flatMap((kind) =>
          node.store.read((reader) => reader.list(kind, { open: true, limit: 100 })).map(({ id, state }) => `${kind} ${id} is ${state}`),
        ),
        ...node.store.read((reader) => reader.pending(0, 100)).map(({ type, id }) => `effect ${type} of ${id}`),
        ...[...node.running.keys()].map((id) => `${id} runs`),
      ]
      const ledger = node.store.read((reader) => reader.get('ledger', 'node'))?.data as unknown as Ledger | undefined
      if (ledger && (ledger.cpu !== 0 || ledger.memory !== 0 || ledger.disk !== 0 || Object.keys(ledger.devices).length > 0))
        left.push(`held: ${JSON.stringify(ledger)}`)
      return left.map((what) => `${node.id}: ${what}`)
    })

/** What is a result stays published, and nothing else does: of a job that is final, once all is quiet. Nodes that are down are asked nothing. */
export const misplaced = (world: Simulation, requester: SimulatedNode, jobId: string): readonly string[] => {
  const job = requester.scheduler.result(jobId)
  const ofResults = new Set(job?.shards.filter((shard) => shard.state === 'completed').map(({ executions }) => executions.at(-1)?.id ?? 'none'))
  const down = new Set(world.nodes.filter(({ up }) => !up).map(({ id }) => id))
  const those = (what: Happened['what']): Set<string> =>
    new Set(world.happened.filter((one) => one.what === what && !down.has(one.node)).map(({ execution }) => execution))
  const [published, withdrawn] = [those('published'), those('unpublished')]
  return [
    ...[...ofResults].filter((id) => id === 'none' || withdrawn.has(id)).map((id) => `the result ${id} was withdrawn`),
    ...(job?.state === 'failed' ? [] : [...published].filter((id) => !withdrawn.has(id) && !ofResults.has(id)).map((id) => `${id} is still published`)),
  ]
}
