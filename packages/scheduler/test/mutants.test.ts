import { readFile } from 'node:fs/promises'
import { describe, expect, test } from 'vitest'
import { brokenIn } from './mutant-process.ts'
import { mutants, mutate } from './mutants.ts'

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
