import { describe, test } from 'vitest'
import { type ConformanceStores, stateStoreCases } from './conformance-cases.ts'
import { defaultDeadline } from './in-time.ts'

export { type ConformanceCase, type ConformanceStores, stateStoreCases } from './conformance-cases.ts'

export interface StateStoreConformanceOptions extends ConformanceStores {
  /** What the suite is called in the report. */
  readonly name: string
}

/**
 * Runs the contract's promises as vitest tests against a driver.
 *
 * @example
 * stateStoreConformance({ name: 'memory', open: () => memoryStateStore() })
 */
export const stateStoreConformance = ({ name, ...stores }: StateStoreConformanceOptions): void => {
  describe(`state store conformance: ${name}`, () => {
    for (const { name: promise, needs, run } of stateStoreCases) {
      if (needs && !stores[needs]) test.skip(`${promise} (the driver offers no ${needs})`, () => {})
      else test(promise, () => run(stores), (stores.deadline ?? defaultDeadline) + 5000)
    }
  })
}
