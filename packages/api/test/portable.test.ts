import { expect, test } from 'vitest'
import { clientBundle } from './client-bundle.ts'

test('the client is one small bundle for browsers, without the server and without zod', async () => {
  const { code, inputs } = await clientBundle()
  const packages = inputs.flatMap((file) => /node_modules\/(?:\.pnpm\/[^/]+\/node_modules\/)?((?:@[^/]+\/)?[^/]+)/.exec(file)?.[1] ?? [])
  expect([...new Set(packages)]).toEqual(['eventsource-parser'])
  expect(inputs.filter((file) => /handlers|serve-api|schema\/|packages\/job-spec/.test(file))).toEqual([])
  expect(code.length).toBeLessThan(24_000)
})
