import { ApiError } from '@skrei/api/client'
import { expect, test } from 'vitest'
import { leftJob } from '../src/remote/api-failure.ts'

test('a node that answers no more leaves its job alone: the error names the job, and how to go on with it', () => {
  const lost = leftJob(new ApiError('unreachable', 'no answer from http://127.0.0.1:1: ECONNREFUSED'), '01a2', 'skrei job wait 01a2')
  expect(lost).toMatchObject({
    exit: 1,
    problems: [{ code: 'unreachable', message: expect.stringContaining('job 01a2 lives on'), remedy: expect.stringMatching(/: skrei job wait 01a2$/) }],
  })
  const other = new ApiError('job-not-found', 'there is no job')
  expect(leftJob(other, '01a2', '')).toBe(other)
})
