import { describe, test } from 'vitest'
import { type ConformanceOptions, executorChecks } from './checks.ts'
import { defaultDeadline } from './in-time.ts'

export { type Check, type ConformanceOptions, executorChecks, type Program, type Programs } from './checks.ts'
export { type Bench, type Ran, type RunOptions, ready, taskFor, withBench } from './conformance-bench.ts'

/**
 * Registers every check of the executor contract as a vitest test. What the engine has no program for is skipped, and says which program that is.
 *
 * @example
 * executorConformance({ name: 'toy', create: () => toyExecutor(), programs: { hello: { engine: { type: 'acme.dev/toy', steps: [['print', 'hello\n']] } } } })
 */
export const executorConformance = (options: ConformanceOptions): void => {
  describe(`${options.name} keeps the executor contract`, () => {
    for (const check of executorChecks(options)) {
      if (check.missing === undefined) test(check.name, () => check.run(), 2 * (options.deadline ?? defaultDeadline) + 5000)
      else test.skip(`${check.name} (skipped: ${check.missing})`, () => undefined)
    }
  })
}
