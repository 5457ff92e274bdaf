// One suite, in this process alone: started by run-suite.ts, which is sent the samples.
import { loadSuite } from './load-suites.ts'

const { name, full, smallest, repeat } = JSON.parse(process.argv[2] ?? '') as {
  readonly name: string
  readonly full: boolean
  readonly smallest: boolean
  readonly repeat?: number
}
const suite = await loadSuite(name)
const interrupt = new AbortController()
if (suite.interruptible) process.once('SIGINT', () => interrupt.abort())
// Whoever wanted the figures is gone.
const orphaned = (): never => process.exit(1)
process.once('disconnect', orphaned)
// That may have been before anybody listened.
if (!process.connected) orphaned()
const note = (text: string): void => console.error(`${name}: ${text}`)
const samples = await suite.run({ full, smallest, repeat: repeat ?? suite.repeat ?? 3, note, signal: interrupt.signal })
process.off('disconnect', orphaned)
process.send?.(samples)
process.disconnect()
