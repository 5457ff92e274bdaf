import * as fc from 'fast-check'
import { expect, test } from 'vitest'
import { type JobSpec, printJob, readJob, specCid } from '../src/index.ts'
import { arbitraryJob } from './arbitrary-job.ts'

const read = (text: string, format: 'yaml' | 'json'): JobSpec => {
  const result = readJob(text, { file: `job.${format}` })
  if (!result.ok) throw new Error(JSON.stringify(result.problems))
  return result.spec
}

test.each(['yaml', 'json'] as const)('a job printed as %s reads back as the same job with the same CID', (format) => {
  fc.assert(
    fc.property(arbitraryJob, (spec) => {
      const again = read(printJob(spec, format), format)
      expect(again).toEqual(spec)
      expect(specCid(again)).toBe(specCid(spec))
    }),
    { numRuns: 80 },
  )
})

test('quantities and durations are printed in their shortest exact form', () => {
  const text = printJob({
    apiVersion: 'skrei/v1',
    engine: { type: 'noop', duration: 90_000 },
    resources: { cpu: 2000, memory: 512 * 2 ** 20, disk: 1000, gpu: { count: 1 } },
    publisher: [{ type: 'ipfs' }],
  })
  expect(text).toBe(
    'apiVersion: skrei/v1\nengine:\n  type: noop\n  duration: 90s\npublisher:\n  type: ipfs\nresources:\n  cpu: 2\n  memory: 512Mi\n  disk: 1000\n  gpu: 1\n',
  )
})

test('a spec that is not valid is not printed', () => {
  expect(() => printJob({ apiVersion: 'skrei/v1', engine: { type: 'noop', exit: 256 } })).toThrow(expect.objectContaining({ name: 'ZodError' }))
})
