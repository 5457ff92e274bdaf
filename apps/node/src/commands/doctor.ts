import { styleText } from 'node:util'
import { cliErrors, type ExitCode, exitCodes, problem } from '../cli-errors.ts'
import { diagnose } from '../doctor/diagnose.ts'
import { examine } from '../doctor/examine.ts'
import type { Finding, FindingState } from '../doctor/finding.ts'
import { interrupts } from '../interrupts.ts'
import { oneLine } from '../printable.ts'

/** `skrei doctor`: what a node on this machine would use, what it would do without, and what it would use and cannot. Exit code 0 where there is nothing of the last kind. */
export const doctor = async (version: string, options: { readonly json?: true }): Promise<ExitCode> => {
  using interrupt = interrupts()
  const findings = diagnose(await examine(version, interrupt.first))
  const broken = findings.filter(({ state }) => state === 'broken')
  const error =
    broken.length === 0
      ? null
      : problem('machine-unfit', `of what this node would use, ${[...new Set(broken.map(({ name }) => name))].join(', ')} does not work`)
  if (options.json) {
    for (const finding of findings) write({ type: 'finding', ...finding })
    write({ type: 'result', jobId: null, state: null, results: { cid: null, path: null }, error })
  } else for (const finding of findings) process.stdout.write(findingText(finding))
  return error === null ? exitCodes.completed : cliErrors['machine-unfit'].exit
}

const write = (event: Readonly<Record<string, unknown>>): void => void process.stdout.write(`${JSON.stringify(event)}\n`)

const colours = { works: 'green', absent: 'yellow', broken: 'red' } as const satisfies Readonly<Record<FindingState, string>>

/** `works   docker    engine 20.10.24, …`, and below it what to do. */
const findingText = ({ name, state, detail, remedy }: Finding): string => {
  const stream = process.stdout
  const head = `${styleText(colours[state], state.padEnd(6), { stream })}  ${name.padEnd(9)} ${oneLine(detail)}\n`
  return remedy === undefined ? head : `${head}${' '.repeat(18)}${styleText('dim', `→ ${oneLine(remedy)}`, { stream })}\n`
}
