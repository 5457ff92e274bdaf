import fc from 'fast-check'
import { expect, test } from 'vitest'
import { fileNameOf, fileNamer } from '../src/file-name.ts'
import { httpsSource } from '../src/index.ts'
import { testServer } from './test-server.ts'

const namesOf = async (urls: readonly string[]) => {
  await using source = httpsSource()
  const names: string[] = []
  for await (const entry of source.list({ type: 'https', urls: [...urls] })) names.push(entry.path)
  return names
}

test.each([
  ['https://a.test/x/data.csv?token=1#part', 'data.csv'],
  ['https://a.test/', 'file'],
  ['https://a.test', 'file'],
  ['https://a.test/x/', 'file'],
  ['https://a.test/%2e%2e', 'file'],
  ['https://a.test/x/..%2F..%2Fetc%2Fpasswd', '.._.._etc_passwd'],
  ['https://a.test/a%5Cb', 'a_b'],
  ['https://a.test/a%00b%0Ac', 'a_b_c'],
  ['https://a.test/%E9%AD%9A.csv', '魚.csv'],
  ['https://a.test/100%', '100%'],
  ['https://a.test/%ff', '%ff'],
  [`https://a.test/${'x'.repeat(300)}.csv`, `${'x'.repeat(196)}.csv`],
  [`https://a.test/${'魚'.repeat(100)}.csv`, `${'魚'.repeat(65)}.csv`],
  [`https://a.test/a.${'x'.repeat(300)}`, `a.${'x'.repeat(198)}`],
])('%s is named %s', (url, name) => {
  expect(fileNameOf(new URL(url))).toBe(name)
})

test('names are unique by numbers before the extension, also where such a name is there already', async () => {
  expect(await namesOf(['a.csv', 'a.csv', 'a-2.csv', 'a.csv', '.hidden', '.hidden', 'x', 'x'].map((name, index) => `https://${index}.test/${name}`))).toEqual([
    'a.csv',
    'a-2.csv',
    'a-2-2.csv',
    'a-3.csv',
    '.hidden',
    '.hidden-2',
    'x',
    'x-2',
  ])
})

test('whatever the URLs, names are unique, short and plain', () => {
  const segment = fc.oneof(fc.string({ unit: 'binary' }), fc.constantFrom('a', 'a-2', 'a-2-2', 'a.b', '..', '.', '', '%2f', '%00', '%'))
  fc.assert(
    fc.property(fc.array(segment), (segments) => {
      const name = fileNamer()
      const names = segments.flatMap((text) => {
        const url = URL.parse(`https://a.test/x/${text}`)
        return url === null ? [] : [name(url)]
      })
      expect(new Set(names).size).toBe(names.length)
      for (const one of names) {
        expect(one).not.toMatch(/[\0-\x1f/\\]/)
        expect(['', '.', '..']).not.toContain(one)
        expect(Buffer.byteLength(one)).toBeLessThan(220)
        expect(one.isWellFormed()).toBe(true)
      }
    }),
  )
})

test('listing a hundred thousand URLs of one name asks no server', async () => {
  await using server = await testServer((_request, response) => response.end())
  const names = await namesOf(Array.from({ length: 100_000 }, () => `${server.origin}/part.csv`))
  expect(new Set(names).size).toBe(100_000)
  expect(names.at(-1)).toBe('part-100000.csv')
  expect(server.requests).toEqual([])
})

test('sha256 beside urls is refused, since it could pin only one of them', async () => {
  await using source = httpsSource()
  const listing = source.list({ type: 'https', urls: ['https://a.test/'], sha256: '0'.repeat(64) })[Symbol.asyncIterator]()
  await expect(listing.next()).rejects.toThrow('source-invalid')
})
