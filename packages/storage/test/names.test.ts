import { mkdir, writeFile } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import fc from 'fast-check'
import { expect, test } from 'vitest'
import { idOfName, nameOfId } from '../src/local/id-name.ts'
import { keyedLock } from '../src/local/keyed-lock.ts'
import { walk } from '../src/local/walk.ts'
import { writeError } from '../src/local/write-file.ts'
import { temporaryDirectory } from './temporary-directory.ts'

// A byte takes up to three characters of the 200 that a name has.
const id = fc.string({ unit: 'grapheme', minLength: 1, maxLength: 16 }).filter((text) => Buffer.byteLength(text) <= 66)

test('an id comes back from its directory name, which is plain', () => {
  fc.assert(
    fc.property(id, (text) => {
      const name = nameOfId(text)
      expect(name).toMatch(/^[a-z0-9_%-]+$/)
      expect(idOfName(name)).toBe(text)
    }),
  )
})

test('names that were not made from an id have none', () => {
  for (const name of ['', '.', '..', '.partial-a', 'A', 'a.b', 'a/b', '%', '%4', '%zz', '%4A', '%61', '%ff', 'x'.repeat(300)])
    expect(`${name}: ${idOfName(name)}`).toBe(`${name}: undefined`)
})

test('ids that make no directory name are refused', () => {
  for (const text of ['', '\ud800', 'x'.repeat(201), '/'.repeat(100), 'x'.repeat(1e7)]) expect(() => nameOfId(text)).toThrow('id-invalid')
})

test('any tree is walked in the byte order of its whole paths', async () => {
  const segment = fc.stringMatching(/^[-.!a0~é]{1,3}$/).filter((text) => text !== '.' && text !== '..')
  const paths = fc.array(fc.array(segment, { minLength: 1, maxLength: 3 }), { minLength: 1, maxLength: 12 })
  await fc.assert(
    fc.asyncProperty(paths, async (wanted) => {
      await using directory = await temporaryDirectory()
      const made: string[] = []
      for (const path of wanted.map((segments) => segments.join('/'))) {
        // A file where another path has a directory, or the reverse, cannot be made; the rest is the tree.
        if (made.some((other) => other === path || other.startsWith(`${path}/`) || path.startsWith(`${other}/`))) continue
        await mkdir(dirname(join(directory.path, path)), { recursive: true })
        await writeFile(join(directory.path, path), '')
        made.push(path)
      }
      const found: string[] = []
      for await (const file of walk(directory.path, { refuse: (path, what) => new Error(`${path} ${what}`) })) found.push(file.path)
      expect(found).toEqual(made.sort((left, right) => Buffer.compare(Buffer.from(left), Buffer.from(right))))
    }),
    { numRuns: 60 },
  )
})

test('a lock runs one after the other per key, goes on after an error, and forgets keys', async () => {
  const inTurn = keyedLock()
  const log: string[] = []
  const gate = Promise.withResolvers<void>()
  const first = inTurn('a', async () => {
    await gate.promise
    log.push('first')
    throw new Error('first')
  })
  const second = inTurn('a', async () => log.push('second'))
  await inTurn('b', async () => log.push('other'))
  gate.resolve()
  await expect(first).rejects.toThrow('first')
  await second
  expect(log).toEqual(['other', 'first', 'second'])
})

test('a full disk is named, other errors stay what they are', () => {
  const system = (code: string) => Object.assign(new Error(code), { code, syscall: 'write' })
  expect(writeError(system('ENOSPC'))).toMatchObject({ failure: { code: 'disk-full' } })
  expect(writeError(system('EDQUOT'))).toMatchObject({ failure: { code: 'disk-full' } })
  const other = system('EIO')
  expect(writeError(other)).toBe(other)
})
