import { resultTree } from '@skrei/verifier'
import type { Ledger } from '../src/kernel/ledger.ts'
import { memoryWorkspace } from '../src/simulation/fakes.ts'
import type { Happened, SimulatedNode, Simulation } from '../src/simulation/index.ts'

/** Once nothing happens any more: nothing is left anywhere (invariant 15). */
export const quiet = (world: Simulation): readonly string[] =>
  world.nodes
    .filter(({ up }) => up)
    .flatMap((node) => {
      const left = [
        ...['job', 'shard', 'execution', 'compute'].flatMap((kind) =>
          node.store.read((reader) => reader.list(kind, { open: true, limit: 100 })).map(({ id, state }) => `${kind} ${id} is ${state}`),
        ),
        ...unperformed(node),
        ...[...node.running.keys()].map((id) => `${id} runs`),
        ...[...node.files.keys()].map((id) => `the workspace of ${id} is there`),
      ]
      const ledger = node.store.read((reader) => reader.get('ledger', 'node'))?.data as unknown as Ledger | undefined
      if (ledger && (ledger.cpu !== 0 || ledger.memory !== 0 || ledger.disk !== 0 || Object.keys(ledger.devices).length > 0))
        left.push(`held: ${JSON.stringify(ledger)}`)
      return left.map((what) => `${node.id}: ${what}`)
    })

/** Rows of the outbox that nobody performs (invariant 9, once all is quiet). */
export const unperformed = (node: SimulatedNode): readonly string[] =>
  node.store.read((reader) => reader.pending(0, 100)).map(({ type, id }) => `effect ${type} of ${id}`)

/**
 * What is a result stays published, and nothing else does: of a job that is final, once all is quiet. Nodes that are down are asked nothing, nor those that have forgotten
 * what they published, or accepted.
 */
export const misplaced = (world: Simulation, requester: SimulatedNode, jobId: string): readonly string[] => {
  if (requester.setBacks > 0) return []
  const job = requester.scheduler.result(jobId)
  const executions = new Set(job?.shards.flatMap((shard) => shard.executions.map(({ id }) => id)))
  const ofResults = new Set(job?.shards.filter((shard) => shard.state === 'completed').map((shard) => shard.executions.at(-1)?.id ?? 'none'))
  // What the job itself did wrong is published too.
  const ofFailures = new Set(job?.shards.filter((shard) => shard.state === 'failed').map((shard) => shard.executions.at(-1)?.id ?? 'none'))
  const unasked = new Set(world.nodes.filter(({ up, setBacks }) => !up || setBacks > 0).map(({ id }) => id))
  const those = (what: Happened['what']): Set<string> =>
    new Set(world.happened.filter((one) => one.what === what && executions.has(one.execution) && !unasked.has(one.node)).map(({ execution }) => execution))
  const [published, withdrawn] = [those('published'), those('unpublished')]
  return [
    ...[...ofResults].filter((id) => id === 'none' || withdrawn.has(id)).map((id) => `the result ${id} was withdrawn`),
    ...[...published].filter((id) => !withdrawn.has(id) && !ofResults.has(id) && !ofFailures.has(id)).map((id) => `${id} is still published`),
  ]
}

/** What lies under the reference of a result has the digest that was accepted (invariant 5): nobody is taken at his word. */
export const mismatched = async (world: Simulation, requester: SimulatedNode, jobId: string): Promise<readonly string[]> => {
  const wrong: string[] = []
  for (const { id, data } of requester.store.read((reader) => reader.list('shard', { parent: jobId, state: 'completed', limit: 1000 }))) {
    const { result, reference } = data as unknown as {
      readonly result?: { digest?: string; exit?: number }
      readonly reference?: { type: string; cid?: string }
    }
    if (reference === undefined || reference.type === 'none') continue
    const files = new Map([['result', { ...world.contentOf(reference.cid ?? '') }]])
    const tree = await resultTree(memoryWorkspace(files).entries('result'), result?.exit ?? 0)
    if (tree.digest !== result?.digest) wrong.push(`the result of ${id} is ${result?.digest}, published is ${tree.digest}`)
  }
  return wrong
}
