import { expect, test } from 'vitest'
import { none, type SeatState, verifierErrors } from '../src/index.ts'

const plan = none.plan({ replicas: 1, shards: 1 })
const decide = (...seats: readonly SeatState[]) => none.decide({ plan, seats, commitsClosed: false, revealsClosed: false })
const waiting: SeatState = { node: 'a', committed: false, absent: false }
const absent: SeatState = { node: 'b', committed: false, absent: true }
const revealed: SeatState = { node: 'c', committed: false, absent: false, revealed: { digest: '0'.repeat(64), exit: 0 } }

test('none promises nothing: one seat, chosen by rank, and a wrong result is accepted with certainty', () => {
  expect(plan).toEqual({ seats: 1, maxSeats: 1, rule: 'all', ranked: true, bound: 1 })
})

test('none accepts what the first node says, and says what that is worth', () => {
  expect(decide(revealed)).toEqual({ type: 'accept', digest: '0'.repeat(64), assurance: 'none', bound: 1, publisher: 'c' })
  expect(decide(absent, revealed, waiting)).toMatchObject({ type: 'accept', publisher: 'c' })
})

test('none seats a node, waits for it, and is void when it is absent', () => {
  expect(decide()).toEqual({ type: 'seat', count: 1 })
  expect(decide(waiting)).toEqual({ type: 'wait' })
  expect(decide(absent, waiting)).toEqual({ type: 'wait' })
  expect(decide(absent)).toEqual({ type: 'void', code: 'absent' })
})

test('every error has a cause and a remedy', () => {
  for (const { cause, remedy } of Object.values(verifierErrors)) {
    expect(cause).toMatch(/\.$/)
    expect(remedy).toMatch(/\.$/)
  }
})
