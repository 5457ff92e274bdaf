import type { Row } from '@skrei/state-store'
import type { Ledger } from '../src/kernel/ledger.ts'
import { type ComputeContext, computeHolds } from '../src/machines/compute-execution.ts'
import type { ShardContext } from '../src/machines/shard.ts'
import type { SimulatedNode, Simulation } from '../src/simulation/index.ts'

const resources = ['cpu', 'memory', 'disk'] as const
const everything = 1_000_000

/** Throws what it finds broken, by the number of its invariant in PROTOCOL.md. */
export const broken = (node: SimulatedNode, number: number, what: string): never => {
  throw new Error(`invariant ${number} is broken on ${node.id}: ${what}`)
}

const rowsOf = (node: SimulatedNode, kind: string, where: { readonly open?: boolean } = {}): readonly Row[] =>
  node.store.read((reader) => reader.list(kind, { ...where, limit: everything }))

/** Invariants 1, 2, 4 and the bypasses of 15: what a node's open rows say at an instant. */
export const checkOpen = (world: Simulation, node: SimulatedNode): void => {
  const compute = rowsOf(node, 'compute', { open: true })
  const held = { cpu: 0, memory: 0, disk: 0 }
  const devices = new Map<string, string>()
  const cpuOf = new Map<string, number | undefined>()
  for (const { id, state, data } of compute) {
    const context = data as unknown as ComputeContext
    const holding = computeHolds(state, context)
    cpuOf.set(id, holding?.cpu)
    if ((context.bypassed ?? 0) > world.settings.bypasses) broken(node, 15, `${id} was bypassed ${context.bypassed} times`)
    if (holding === undefined) continue
    for (const resource of resources) held[resource] += holding[resource]
    for (const device of holding.devices) {
      if (devices.has(device)) broken(node, 1, `device ${device} is held by ${devices.get(device)} and ${id}`)
      devices.set(device, id)
    }
    if (holding.cpu > 0 && holding.devices.length !== context.task.resources.gpu.count) broken(node, 1, `${id} holds ${holding.devices.length} devices`)
  }
  const ledger = (node.store.read((reader) => reader.get('ledger', 'node'))?.data ?? { cpu: 0, memory: 0, disk: 0, devices: {} }) as unknown as Ledger
  for (const resource of resources) {
    if (held[resource] > node.limits[resource]) broken(node, 1, `${held[resource]} of ${resource} reserved, ${node.limits[resource]} there is`)
    if (held[resource] !== ledger[resource]) broken(node, 1, `the ledger says ${ledger[resource]} of ${resource}, the rows ${held[resource]}`)
  }
  if (Object.keys(ledger.devices).sort().join() !== [...devices.keys()].sort().join())
    broken(node, 1, `the ledger says ${Object.keys(ledger.devices)} are held, the rows ${[...devices.keys()]}`)

  const running = { cpu: 0, memory: 0 }
  for (const [id, task] of node.running) {
    running.cpu += task.resources.cpu
    running.memory += task.resources.memory
    if (cpuOf.get(id) !== task.resources.cpu) broken(node, 2, `${id} runs without a reservation`)
  }
  if (running.cpu > node.limits.cpu || running.memory > node.limits.memory) broken(node, 2, 'more runs than there is room for')

  const live = new Map<string, string>()
  for (const { id, parent = '' } of rowsOf(node, 'execution', { open: true })) {
    if (live.has(parent)) broken(node, 4, `${live.get(parent)} and ${id} both have shard ${parent}`)
    live.set(parent, id)
  }
}

/** Invariants 5, 7 and 8, of all rows of a node: what was final stays as it was, what is open has a deadline. */
export const watchRows = () => {
  const finals = new Map<string, string>()
  const results = new Map<string, string>()

  return {
    forget: (node: SimulatedNode): void => {
      for (const known of [finals, results]) for (const key of known.keys()) if (key.startsWith(`${node.id} `)) known.delete(key)
    },
    check: (node: SimulatedNode): void => {
      const deadlines = new Set(node.store.read((reader) => reader.due(Number.MAX_SAFE_INTEGER, everything)).map(({ kind, id }) => `${kind} ${id}`))
      for (const kind of ['job', 'shard', 'execution', 'compute']) {
        for (const { id, open, state, version, data } of rowsOf(node, kind)) {
          const key = `${node.id} ${kind} ${id}`
          const final = open ? undefined : `${state} ${version}`
          if (finals.has(key) && finals.get(key) !== final) broken(node, 7, `${kind} ${id} was ${finals.get(key)}, is ${state} ${version}`)
          if (final !== undefined) finals.set(key, final)
          if (open !== deadlines.has(`${kind} ${id}`)) broken(node, open ? 8 : 7, `${kind} ${id} in ${state} ${open ? 'has no' : 'still has a'} deadline`)
          if (kind !== 'shard' || state !== 'completed') continue
          const shard = data as unknown as ShardContext
          const result = JSON.stringify([shard.result, shard.reference, shard.epoch])
          if ((results.get(key) ?? result) !== result) broken(node, 5, `the result of shard ${id} changed`)
          results.set(key, result)
        }
      }
    },
  }
}
