import { describe, expect, test } from 'vitest'
import type { AnyStateMachine } from 'xstate'
import { computeExecutionMachine } from '../src/machines/compute-execution.ts'
import { executionMachine } from '../src/machines/execution.ts'
import { jobMachine } from '../src/machines/job.ts'
import { shardMachine } from '../src/machines/shard.ts'

const machines: Readonly<Record<string, AnyStateMachine>> = {
  job: jobMachine,
  shard: shardMachine,
  execution: executionMachine,
  compute: computeExecutionMachine,
}
/** States that are left in the step that enters them, and `new`, which is never stored. */
const passing = new Set(['new', 'judged', 'ended'])

describe.each(Object.entries(machines))('the %s machine', (_name, machine) => {
  const states = Object.entries(machine.states).filter(([state, node]) => node.type !== 'final' && !passing.has(state))

  test.each(states)('%s has an owner and a deadline, and something happens when it comes', (_state, node) => {
    expect(node.meta).toMatchObject({ owner: expect.any(String), within: expect.any(Function) })
    expect(node.ownEvents).toContain('deadline')
  })

  test('every state can be reached', () => {
    const reached = new Set(['new'])
    for (let size = 0; size !== reached.size; ) {
      size = reached.size
      for (const state of [...reached]) {
        const node = machine.states[state]
        const transitions = [...(node?.transitions.values() ?? [])].flat().concat(node?.always ?? [])
        for (const { target } of transitions) for (const next of target ?? []) reached.add(next.key)
      }
    }
    expect([...reached].sort()).toEqual(Object.keys(machine.states).sort())
  })
})
