// pnpm bench [suite…] [--full | --smallest] [--repeat <n>] [--json] [--profile]
import { parseArgs } from 'node:util'
import { loadSuite, suiteNames } from './load-suites.ts'
import { withProfile } from './profile.ts'
import { jsonLine, table } from './report.ts'
import { runSuite } from './run-suite.ts'

const usage = `pnpm bench [suite…] [--full | --smallest] [--repeat <n>] [--json] [--profile]

  --full        the size that the project reports; may take long
  --smallest    only enough for every figure to be there
  --repeat <n>  how often what varies is measured
  --json        the last line of a suite is {"suite": …, "figures": {name: number}}
  --profile     where the CPU time of the suite's process went, by package and by function

Suites: ${suiteNames().join(', ')}`

const refuse = (message: string): never => {
  console.error(`${message}\n\n${usage}`)
  process.exit(2)
}

const parsed = (() => {
  try {
    return parseArgs({
      allowPositionals: true,
      options: {
        full: { type: 'boolean', default: false },
        smallest: { type: 'boolean', default: false },
        repeat: { type: 'string' },
        json: { type: 'boolean', default: false },
        profile: { type: 'boolean', default: false },
        help: { type: 'boolean', default: false },
      },
    })
  } catch (error) {
    return refuse((error as Error).message)
  }
})()

const { full, smallest, repeat, json, profile, help } = parsed.values
if (help) {
  console.log(usage)
  process.exit(0)
}
const known = suiteNames()
const unknown = parsed.positionals.filter((name) => !known.includes(name))
if (unknown.length > 0) refuse(`No such suite: ${unknown.join(', ')}.`)
if (full && smallest) refuse('--full or --smallest, not both.')
if (repeat !== undefined && !/^[1-9]\d{0,3}$/.test(repeat)) refuse('--repeat takes a whole number from 1 to 9999.')

// The first one ends the suite and keeps what it has found, where it can; the second ends all.
const interrupt = new AbortController()
for (const signal of ['SIGINT', 'SIGTERM'] as const)
  process.on(signal, () => {
    if (interrupt.signal.aborted) process.exit(130)
    interrupt.abort()
    process.exitCode = 130
  })

for (const name of parsed.positionals.length > 0 ? parsed.positionals : known) {
  if (interrupt.signal.aborted) break
  try {
    const suite = await loadSuite(name)
    const options = { full, smallest, signal: interrupt.signal, ...(repeat !== undefined && { repeat: Number(repeat) }) }
    const samples = await (profile ? withProfile((flags) => runSuite(suite, { ...options, flags })) : runSuite(suite, options))
    console.log(table(suite, samples))
    if (json) console.log(jsonLine(suite, samples))
  } catch (error) {
    console.error(error instanceof Error ? error.message : String(error))
    process.exitCode ??= 1
  }
}
