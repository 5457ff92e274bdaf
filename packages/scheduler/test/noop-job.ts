import type { JobSpec } from '@skrei/job-spec'

/** A noop job; what is given replaces parts of it. */
export const noopJob = (change: Partial<JobSpec> = {}): JobSpec => ({
  apiVersion: 'skrei/v1',
  engine: { type: 'noop', duration: 1000, files: { '/out/a': 'x' } },
  outputs: [{ name: 'out', path: '/out' }],
  publisher: [{ type: 'ipfs' }],
  ...change,
})
