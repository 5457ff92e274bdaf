import { expect, test } from 'vitest'
import { compile } from '../src/kernel/compiled.ts'
import type { Output } from '../src/kernel/event.ts'
import { type ExecutionContext, executionMachine, lateExecution } from '../src/machines/execution.ts'
import { undeliverable } from '../src/undeliverable.ts'
import { askBody, bytesOf } from './asker.ts'

const context: ExecutionContext = {
  id: 'e',
  shardId: 'j/0',
  node: 'n',
  askId: 'j/0/1',
  epoch: 1,
  assurance: 'none',
  publisher: 'ipfs',
  times: { lease: 1000, publish: 1000, match: 1000, stop: 1000, run: 1000, retention: 1000, drift: 0.1 },
  endBy: 5000,
}

test('an execution that is late is stopped by one message', () => {
  const stepped = compile(executionMachine)('running', context, { type: 'deadline', now: 5000, known: { heardAt: 5000 } } as never)
  const emitted = (stepped?.emitted ?? []) as readonly (readonly Output[])[]
  const sent = emitted.flat().filter((output) => output.do === 'send')
  expect([stepped?.state, sent.map(({ type }) => type)]).toEqual(['lost', ['stop']])
})

test('a node that says again that it published a failure of the job, whose row was read from a store, is told to let go of it', () => {
  const failure = { code: 'exit-nonzero', detail: 'exit code 1' } as const
  const failed = { ...context, reference: { type: 'ipfs', cid: 'c' }, outcome: { failure, usage: {}, facts: {} }, failure }
  const late = (of: ExecutionContext): readonly unknown[] =>
    lateExecution('failed', JSON.parse(JSON.stringify(of)), { type: 'published', epoch: 1 }).map((output) => output.do === 'send' && output.type)
  expect(late(failed)).toEqual(['settle'])
  expect(late({ ...failed, failure: { code: 'result-mismatch', detail: 'published b, computed a' } })).toEqual(['superseded'])
})

test('a node that does not hear this one for now is asked again later; one that never will is not', () => {
  const bytes = bytesOf('peer', 'n', { type: 'ask', body: askBody(0) })
  const entry = { outboxId: 1, kind: 'shard', id: 's', type: 'send', lane: 'send n', data: { to: 'n', message: 'ask', dropAt: 0 }, bytes }
  const answer = (code: string): unknown =>
    undeliverable(
      { network: 'test', self: 'peer', duplicated: () => {}, logger: { debug: () => {}, info: () => {}, warn: () => {}, error: () => {} } },
      entry,
      {
        index: 0,
        code,
        reason: 'why',
      },
    )[1]?.event
  expect(answer('duplicate-identity')).toMatchObject({ type: 'decline', refusals: [{ code: 'busy', detail: 'duplicate-identity: why' }] })
  expect(answer('unsupported-version')).toMatchObject({ type: 'decline', refusals: [{ code: 'protocol-unsupported' }] })
})
