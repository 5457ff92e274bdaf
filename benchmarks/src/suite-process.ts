// One suite, in this process alone: started by run-suite.ts, which is sent the samples.
import { loadSuite } from './load-suites.ts'

const { name, full, smallest, repeat } = JSON.parse(process.argv[2] ?? '') as {
  readonly name: string
  readonly full: boolean
  readonly smallest: boolean
  readonly repeat?: number
}
const suite = await loadSuite(name)
const samples = await suite.run({ full, smallest, repeat: repeat ?? suite.repeat ?? 3, note: (text) => console.error(`${name}: ${text}`) })
process.send?.(samples)
process.disconnect()
