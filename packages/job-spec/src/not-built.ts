import type { JobSpec } from './job.ts'
import type { Path } from './problem.ts'

export interface NotBuilt {
  readonly path: Path
  readonly reason: string
}

/**
 * The fields of a valid job that this release does not act on: refused by name, never passed over. `verification` is left to the nodes, which
 * say themselves what methods they have; so are engines.
 */
export const notBuilt = (spec: JobSpec): readonly NotBuilt[] => {
  const found: NotBuilt[] = []
  if (spec.type !== undefined && spec.type !== 'batch') found.push({ path: ['type'], reason: `only batch jobs run, not ${spec.type} ones` })
  const { engine } = spec
  if (engine.type === 'wasm') {
    if (engine.imports !== undefined) found.push({ path: ['engine', 'imports'], reason: 'a module is linked with WASI preview 1 only' })
    if (engine.profile !== undefined) found.push({ path: ['engine', 'profile'], reason: 'every module runs in the same way' })
    if (engine.fuel !== undefined) found.push({ path: ['engine', 'fuel'], reason: 'instructions are not metered; bound the time with timeouts.execution' })
  }
  return found
}
