import { expect, test } from 'vitest'
import { takingTurns } from '../src/exchange/taking-turns.ts'

const never = new AbortController().signal

/** Asks for turns of sessions that are called by a letter; `had` is whose came, in their order. */
const sessions = (own: number, shared: number) => {
  const turns = takingTurns({ own, shared })
  const named = new Map<string, object>()
  const had: string[] = []
  const leaves: (() => void)[] = []
  const take = async (name: string, signal = never): Promise<void> => {
    const session = named.get(name) ?? {}
    named.set(name, session)
    leaves.push(await turns.next(session, signal))
    had.push(name)
  }
  return {
    had,
    leaves,
    /** Asks, and waits until whoever had a turn at once has it. */
    ask: async (...names: readonly string[]) => {
      for (const name of names) take(name)
      for (let step = 0; step < 5; step += 1) await Promise.resolve()
      return had.splice(0).join('')
    },
    take,
  }
}

test('each session has places of its own, and shares the rest', async () => {
  const { ask } = sessions(2, 3)
  expect(await ask('a', 'a', 'a', 'a', 'a', 'a', 'a')).toBe('aaaaa')
  expect(await ask('b', 'b', 'b', 'c')).toBe('bbc')
})

test('shared places go round those who wait, whoever came first, however often', async () => {
  const { ask, leaves } = sessions(1, 2)
  expect(await ask('a', 'a', 'a', 'a', 'a', 'a', 'b', 'c', 'b', 'b', 'c')).toBe('aaabc')
  const [, first, second] = leaves
  first?.()
  expect(await ask()).toBe('a')
  second?.()
  expect(await ask()).toBe('b')
  leaves.at(-1)?.()
  expect(await ask()).toBe('c')
  leaves.at(-1)?.()
  expect(await ask()).toBe('a')
})

test('an own place that is given back goes to who waits in that session, and to no other', async () => {
  const { ask, leaves } = sessions(1, 1)
  expect(await ask('a', 'a', 'b', 'b', 'a')).toBe('aab')
  leaves[2]?.()
  expect(await ask()).toBe('b')
  leaves[0]?.()
  expect(await ask()).toBe('a')
})

test('who gives up waits no more, and its session is as one that never asked', async () => {
  const { ask, take, leaves, had } = sessions(1, 1)
  expect(await ask('a', 'a')).toBe('aa')
  const gives = new AbortController()
  const given = take('a', gives.signal)
  gives.abort(new Error('gave up'))
  await expect(given).rejects.toThrow('gave up')
  for (const leave of leaves.splice(0)) leave()
  expect(await ask('b', 'b', 'a')).toBe('bba')
  expect(had).toEqual([])
})
