import { readdirSync, readFileSync } from 'node:fs'
import { expect, test } from 'vitest'
import { vectorFiles } from '../scripts/vectors.ts'

const folder = new URL('../test-vectors/', import.meta.url)
const read = (name: string) => JSON.parse(readFileSync(new URL(name, folder), 'utf8'))

test('the test vectors under version control are what the code makes', async () => {
  const files = await vectorFiles()
  expect(readdirSync(folder).toSorted()).toEqual(Object.keys(files).toSorted())
  for (const [name, content] of Object.entries(files)) expect(read(name), name).toEqual(JSON.parse(JSON.stringify(content)))
})
