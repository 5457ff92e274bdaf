import { setFlagsFromString } from 'node:v8'
import { runInNewContext } from 'node:vm'

/** After a start nothing much has come in yet, and what came is not delayed for long. Milliseconds. */
const delay = 1000

/**
 * Gives back what only the start needed: V8 grows its young generation while modules are compiled, and shrinks it only under pressure (15 of 118 MB, seen on Node 24). One collection,
 * some 40 ms, once; under load the heap grows again as it needs.
 */
export const settleMemory = (): void => {
  const timer = setTimeout(() => {
    setFlagsFromString('--expose-gc')
    const collect = runInNewContext('gc') as (options: Readonly<Record<string, string>>) => void
    collect({ type: 'major', execution: 'sync', flavor: 'last-resort' })
  }, delay)
  timer.unref()
}
