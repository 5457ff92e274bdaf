import type { SimulatedNode, Simulation } from '../src/simulation/index.ts'
import { checkOpen, watchRows } from './store-laws.ts'
import { watchWorld } from './world-laws.ts'

export { mismatched, misplaced, quiet, unperformed } from './quiet.ts'

/**
 * The invariants of PROTOCOL.md that concern a release without verification, by their numbers. What can break in an instant is looked at after every transition, all rows
 * when `checkAll` is called, which throws the first that does not hold.
 */
export const watchInvariants = (world: Simulation): { readonly checks: number; checkAll(): void } => {
  const rows = watchRows()
  const seen = watchWorld(world)
  const setBacks = new Map<string, number>()
  const failures: unknown[] = []
  let checks = 0

  const guarded = (law: () => void): void => {
    try {
      law()
    } catch (error) {
      failures.push(error)
    }
  }
  const settle = (node: SimulatedNode): void => {
    if ((setBacks.get(node.id) ?? 0) === node.setBacks) return
    setBacks.set(node.id, node.setBacks)
    rows.forget(node)
    seen.forget(node)
  }
  world.onEvent = (node, event) =>
    guarded(() => {
      settle(node)
      if (node.up) checkOpen(world, node)
      checks++
      if (event.type === 'transition') seen.onTransition(node, event.transition)
    })
  world.onHappened = (node, one) => guarded(() => seen.onHappened(node, one))
  return {
    get checks() {
      return checks
    },
    checkAll: () => {
      if (failures.length > 0) throw failures[0]
      for (const node of world.nodes) {
        if (!node.up) continue
        settle(node)
        checks++
        checkOpen(world, node)
        rows.check(node)
        seen.checkOverdue(node)
      }
    },
  }
}
