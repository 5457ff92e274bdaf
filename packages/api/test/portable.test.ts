import { build } from 'esbuild'
import { expect, test } from 'vitest'

test('the client is one small bundle for browsers, without the server and without zod', async () => {
  const { outputFiles, metafile } = await build({
    entryPoints: [new URL('../src/client.ts', import.meta.url).pathname],
    bundle: true,
    format: 'esm',
    platform: 'browser',
    minify: true,
    write: false,
    metafile: true,
    conditions: ['@skrei/source'],
    logLevel: 'silent',
  })
  const packages = Object.keys(metafile.inputs).flatMap((file) => /node_modules\/(?:\.pnpm\/[^/]+\/node_modules\/)?((?:@[^/]+\/)?[^/]+)/.exec(file)?.[1] ?? [])
  expect([...new Set(packages)]).toEqual(['eventsource-parser'])
  expect(Object.keys(metafile.inputs).filter((file) => /handlers|serve-api|schema\/|packages\/job-spec/.test(file))).toEqual([])
  expect(outputFiles[0]?.contents.length).toBeLessThan(24_000)
})
