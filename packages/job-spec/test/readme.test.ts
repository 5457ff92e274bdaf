import { readFileSync } from 'node:fs'
import { expect, test } from 'vitest'
import { parse } from 'yaml'
import { problems, type ResolvedJob, readJob, resolve } from '../src/index.ts'

const readme = readFileSync(new URL('../README.md', import.meta.url), 'utf8')

const resolved = (file: unknown): ResolvedJob => {
  const result = readJob(JSON.stringify(file), { file: 'job.json' })
  if (!result.ok) throw new Error(JSON.stringify(result.problems))
  return resolve(result.spec)
}

test('the table of defaults says what resolve fills in', () => {
  const section = readme.slice(readme.indexOf('## Defaults of a job'), readme.indexOf('## Errors'))
  const rows = [...section.matchAll(/^\| `([a-zA-Z.]+)` \| `([^`]+)`/gm)].map(([, field = '', value = '']) => ({ field, value: parse(value) as unknown }))
  expect(rows.length).toBeGreaterThan(15)
  const file: Record<string, unknown> = { apiVersion: 'skrei/v1', engine: { type: 'noop' } }
  // Said beside their own defaults, these two would be conflicts.
  for (const { field, value } of rows.filter(({ field }) => field !== 'verification.replicas' && field !== 'partial.tolerate')) {
    const [group = '', key] = field.split('.')
    file[group] = key === undefined ? value : { ...(file[group] as object | undefined), [key]: value }
  }
  const defaults = resolved({ apiVersion: 'skrei/v1', engine: { type: 'noop' } })
  expect(resolved(file)).toEqual(defaults)
  expect(rows.find(({ field }) => field === 'verification.replicas')?.value).toBe(defaults.verification.replicas)
  expect(rows.find(({ field }) => field === 'partial.tolerate')?.value).toBe(defaults.partial.tolerate)
})

test('the table of errors is the table in the code', () => {
  for (const [code, { cause, remedy }] of Object.entries(problems)) expect(readme).toContain(`| \`${code}\` | ${cause} | ${remedy} |`)
})
