import { execFile } from 'node:child_process'
import { readFile } from 'node:fs/promises'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import { describe, expect, test } from 'vitest'
import { mutants, mutate } from './mutants.ts'

const loader = new URL('./mutant-loader.ts', import.meta.url)
const program = new URL('./mutant-run.ts', import.meta.url)

/** Plays a schedule in a process of its own, with a mutant or with none. */
const brokenIn = async (schedule: string, mutant: string): Promise<string | null> => {
  const { stdout } = await promisify(execFile)(process.execPath, ['--conditions=@skrei/source', '--import', loader.href, fileURLToPath(program), schedule], {
    env: { ...process.env, SKREI_MUTANT: mutant },
  })
  return (JSON.parse(stdout) as { broken: string | null }).broken
}

describe('a scheduler that is broken on purpose is found out', () => {
  test.each([...new Set(mutants.map(({ schedule }) => schedule))])('without a mutant the schedule %s breaks no law', async (schedule) => {
    expect(await brokenIn(schedule, 'none')).toBe(null)
  })

  test.each(mutants)('$name: the mutant fits its source once', async ({ edits }) => {
    for (const { file, find, replace } of edits) {
      const source = await readFile(new URL(`../src/${file}`, import.meta.url), 'utf8')
      expect(mutate(source, find, replace)).not.toBe(source)
    }
  })

  test.each(mutants)('$name', async ({ name, schedule, breaks }) => {
    const broken = await brokenIn(schedule, name)
    expect(breaks.map((number) => `invariant ${number} is broken`)).toContain(/^invariant \d+ is broken/.exec(broken ?? '')?.[0] ?? broken)
  })
})
