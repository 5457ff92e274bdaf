import type { Row } from '@skrei/state-store'
import type { Ledger } from '../src/kernel/ledger.ts'
import { type ComputeContext, computeHolds } from '../src/machines/compute-execution.ts'
import type { ShardContext } from '../src/machines/shard.ts'
import type { SimulatedNode, Simulation } from '../src/simulation/index.ts'

const resources = ['cpu', 'memory', 'disk'] as const
const everything = 1_000_000

/** The invariants of PROTOCOL.md that concern a release without verification, by their numbers. Throws at the first that does not hold. */
export const watchInvariants = (world: Simulation): { checks: number; checkAll(): void } => {
  const results = new Map<string, string>()
  const finals = new Map<string, string>()
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

    for (const { id, state, data } of all('shard')) {
      const shard = data as unknown as ShardContext
      const result = shard.result && JSON.stringify([shard.result, shard.reference, shard.epoch])
      const before = results.get(`${node.id} ${id}`)
      if (before !== undefined && before !== result) broken(node, 5, `the result of shard ${id} changed`)
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

  const failures: unknown[] = []
  world.onEvent = (node) => {
    try {
      check(node)
    } catch (error) {
      failures.push(error)
    }
  }
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
