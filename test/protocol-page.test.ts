import { existsSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import { bodies, protocolErrors, signedTypes, signedWhereVerified } from '../packages/protocol/src/index.ts'
import { protocolPage } from '../scripts/protocol-page.ts'

const page = protocolPage()
const sectionOf = (title: string): string => page.split(/^#{2,3} /m).find((section) => section.startsWith(`${title}\n`)) ?? ''

test('the page of the protocol has a section for every message, with every field of its body and what it means', () => {
  for (const [type, body] of Object.entries(bodies)) {
    const section = sectionOf(type)
    const name = type as keyof typeof bodies
    expect(section.includes(', signed.'), type).toBe(signedTypes.has(name) && !signedWhereVerified.has(name))
    expect(section.includes(', signed where verified.'), type).toBe(signedWhereVerified.has(name))
    for (const [field, schema] of Object.entries(body.shape)) {
      const needed = schema.safeParse(undefined).success || schema._zod.optin === 'optional' ? 'no' : 'yes'
      expect(section).toMatch(new RegExp(`^\\| \`${field}\` \\| .+ \\| ${needed} \\| .+ \\|$`, 'm'))
    }
  }
})

test('every field in every table has a type and a meaning', () => {
  const rows = page.split('\n').filter((line) => /^\| `[A-Za-z.[\]]+` \| .* \| (yes|no) \|/.test(line))
  expect(rows.length).toBeGreaterThan(150)
  const empty = rows.filter((line) => /\|\s+\|/.test(line) || /anything|\[object|undefined/.test(line))
  expect(empty).toEqual([])
})

test('bounds and rules of the schemas stand in the tables, those that JSON Schema cannot say too', () => {
  expect(page).toContain('| `shard.files` | list of ([file](#file)), at most 4096 of them | no |')
  expect(sectionOf('finished')).toContain('at most 64 facts')
  expect(sectionOf('open')).toContain('| `commitments[].signature` | bytes, 64 bytes | yes |')
  for (const code of Object.keys(protocolErrors)) expect(code.startsWith('invalid-') || page.includes(`| \`${code}\` |`), code).toBe(true)
})

test('every link of the page leads somewhere', () => {
  const anchors = new Set(
    [...page.matchAll(/^#+ (.+)$/gm)].map(([, title = '']) =>
      title
        .toLowerCase()
        .replace(/[^a-z0-9 -]/g, '')
        .replaceAll(' ', '-'),
    ),
  )
  for (const [, link = ''] of page.replaceAll(/`[^`\n]+`/g, '').matchAll(/\]\(([^)]+)\)/g)) {
    if (link.startsWith('https:')) continue
    const [file = '', anchor] = link.split('#')
    if (file === '') expect(anchors, link).toContain(anchor)
    else expect(existsSync(join(import.meta.dirname, '../docs', file)), link).toBe(true)
    if (file === 'errors.md' && anchor !== undefined)
      expect(readFileSync(join(import.meta.dirname, '../docs/errors.md'), 'utf8').toLowerCase()).toContain(`## ${anchor}\n`)
  }
})
