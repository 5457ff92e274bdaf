import { mkdtemp, readdir, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import fc from 'fast-check'
import { afterEach, beforeEach, expect, test } from 'vitest'
import { directoryRecords, outputPath } from '../src/directory-records.ts'

let root = ''
beforeEach(async () => {
  root = await mkdtemp(join(tmpdir(), 'skrei-records-'))
})
afterEach(() => rm(root, { recursive: true }))

const idsOf = async (directory: string) => {
  const ids: string[] = []
  for await (const id of directoryRecords(directory).ids()) ids.push(id)
  return ids
}

test('any id has a folder of its own, right below the directory, and is found again', async () => {
  await fc.assert(
    fc.asyncProperty(fc.uniqueArray(fc.string({ unit: 'grapheme', minLength: 1, maxLength: 15 }), { maxLength: 5 }), async (ids) => {
      const directory = await mkdtemp(join(root, 'd-'))
      const records = directoryRecords(directory)
      const fitting = ids.filter((id) => Buffer.byteLength(id) <= 80)
      for (const id of fitting) await records.put(id, { state: 'started', note: { id } })
      expect((await idsOf(directory)).sort()).toEqual([...fitting].sort())
      expect(await readdir(directory)).toHaveLength(fitting.length)
      for (const id of fitting) expect(await records.get(id)).toEqual({ state: 'started', note: { id } })
      for (const id of fitting) await records.delete(id)
      expect(await readdir(directory)).toEqual([])
    }),
    { numRuns: 30 },
  )
})

test.each(['..', '.', '../x', 'a/b', '/etc', 'UPPER', '\0', '__proto__'])('an id that looks like a path stays inside: %j', (id) => {
  expect(outputPath('/state', id, 'stdout')).toMatch(/^\/state\/[a-z0-9_-]+\/stdout$/)
})

test('an id too long for a file name is refused', async () => {
  await expect(directoryRecords(root).put('x'.repeat(241), { state: 'stopped' })).rejects.toThrow(RangeError)
})

test('a record that cannot be read counts as started: what it ran is not run again', async () => {
  const records = directoryRecords(root)
  await records.put('one', { state: 'ended', exit: { type: 'exit', exit: 0, usage: {}, facts: {} } })
  for (const text of [
    '',
    '{"state":"en',
    '[]',
    'null',
    '{"state":"other"}',
    '{"state":"ended"}',
    '{"state":"started"}',
    '{"state":"started","note":{"pid":1}}',
  ]) {
    await writeFile(join(root, 'one', 'record.json'), text)
    expect(await records.get('one')).toEqual({ state: 'started', note: {} })
  }
})
