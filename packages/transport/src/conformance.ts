import { describe, test } from 'vitest'
import { type ConformanceCapabilities, type ConformanceNodes, transportCases } from './conformance-cases.ts'
import { defaultDeadline, inTime } from './in-time.ts'

export { type ConformanceCapabilities, type ConformanceCase, type ConformanceNodes, transportCases } from './conformance-cases.ts'

export interface TransportConformanceOptions {
  /** What the suite is called in the report. */
  readonly name: string
  /** Makes the nodes for one test. Make waits short: the suite waits for `unreachable` in real time. */
  create(): Promise<ConformanceNodes>
  readonly capabilities?: ConformanceCapabilities
}

/**
 * Runs the contract's promises as vitest tests against a driver.
 *
 * @example
 * transportConformance({ name: 'memory', create, capabilities: { topics: true } })
 */
export const transportConformance = ({ name, create, capabilities = {} }: TransportConformanceOptions): void => {
  describe(`transport conformance: ${name}`, () => {
    for (const { name: promise, needs, run } of transportCases) {
      if (needs && !capabilities[needs]) {
        test.skip(`${promise} (the driver offers no ${needs})`, () => {})
        continue
      }
      const deadline = capabilities.deadline ?? defaultDeadline
      const keepsPromise = async (): Promise<void> => {
        const nodes = await inTime(`${promise}: create`, deadline, create())
        try {
          await run(nodes, capabilities)
        } finally {
          await inTime(`${promise}: dispose`, deadline, Promise.resolve(nodes[Symbol.asyncDispose]()))
        }
      }
      test(promise, keepsPromise, 3 * deadline + 5000)
    }
  })
}
