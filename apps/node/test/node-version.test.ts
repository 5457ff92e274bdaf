import { expect, test } from 'vitest'
import { nodeVersionError } from '../src/node-version.ts'

test.each(['22.18.0', '22.19.1', '24.0.0', '100.1.0'])('Node %s is new enough', (version) => expect(nodeVersionError(version)).toBeUndefined())

test.each(['20.20.0', '22.17.9', '18.0.0'])('Node %s is too old, and the remedy says which is not', (version) =>
  expect(nodeVersionError(version)?.problems[0]).toMatchObject({ code: 'node-too-old', remedy: expect.stringContaining('22.18') }),
)
