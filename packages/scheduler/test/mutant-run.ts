import { isFoundOut, mutants } from './mutants.ts'
import { play } from './schedules.ts'

// Run by mutants.test.ts under mutant-loader.ts: plays a schedule and says which law it found broken, if any.
const mutant = mutants.find(({ name }) => name === process.env['SKREI_MUTANT'])
const broken = await play(process.argv[2] ?? '', (message) => mutant === undefined || isFoundOut(mutant, message)).then(
  () => undefined,
  (error: unknown) => (error instanceof Error ? error.message : String(error)),
)
process.stdout.write(JSON.stringify({ broken: broken ?? null }))
process.exit(0)
