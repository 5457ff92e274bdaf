import { expect, test } from 'vitest'
import { drainMicrotasks, virtualClock } from '../src/memory.ts'
import { systemClock } from '../src/system-clock.ts'

test('events run by time, and at the same time in the order they were scheduled', async () => {
  const clock = virtualClock({ start: 100 })
  const seen: string[] = []
  const note = (name: string) => () => void seen.push(`${name}@${clock.now()}`)
  clock.at(120, note('c'))
  clock.at(110, note('a'))
  clock.at(120, note('d'))
  clock.at(110, note('b'))
  clock.at(50, note('past'))
  clock.at(Infinity, note('never'))
  await clock.advance(10)
  expect([seen, clock.now(), clock.waiting, clock.nextAt]).toEqual([['past@100', 'a@110', 'b@110'], 110, 2, 120])
  await clock.advance(100)
  expect([seen.slice(3), clock.now(), clock.waiting]).toEqual([['c@120', 'd@120'], 210, 0])
})

test('everything that promises set going runs before the clock moves on', async () => {
  const clock = virtualClock()
  const seen: string[] = []
  const work = async (name: string, turns: number): Promise<void> => {
    for (let turn = 0; turn < turns; turn += 1) await null
    seen.push(`${name}@${clock.now()}`)
    clock.at(clock.now() + 1, () => seen.push(`${name} again@${clock.now()}`))
  }
  clock.at(1, () => void work('long', 5000))
  clock.at(1, () => void work('short', 1))
  clock.at(3, () => seen.push('last'))
  void work('before', 300)
  await clock.runUntilIdle()
  expect(seen).toEqual(['before@0', 'long@1', 'short@1', 'before again@1', 'long again@2', 'short again@2', 'last'].toSorted((a, b) => order(a) - order(b)))
})

/** The order that time and scheduling give: `before` scheduled its second event before the first tick. */
const order = (name: string): number => ['before@0', 'long@1', 'short@1', 'before again@1', 'long again@2', 'short again@2', 'last'].indexOf(name)

test('a disposed event never runs, and thousands of them do not fill the queue', async () => {
  const clock = virtualClock()
  let ran = 0
  const count = (): void => {
    ran += 1
  }
  const timers = Array.from({ length: 10_000 }, (_, index) => clock.at((index * 7919) % 10_007, count))
  for (const [index, timer] of timers.entries()) if (index % 100 !== 0) timer[Symbol.dispose]()
  timers[1]?.[Symbol.dispose]()
  expect(clock.waiting).toBe(100)
  expect(await clock.runUntilIdle()).toBe(100)
  expect(ran).toBe(100)
  timers[0]?.[Symbol.dispose]()
  expect([clock.waiting, clock.nextAt, await clock.next()]).toEqual([0, undefined, false])
})

test('next goes to the next event, and runs just that', async () => {
  const clock = virtualClock()
  const seen: number[] = []
  for (const at of [5, 5, 9]) clock.at(at, () => seen.push(at))
  expect([await clock.next(), clock.now(), seen.length]).toEqual([true, 5, 1])
  expect([await clock.next(), clock.now(), seen.length]).toEqual([true, 5, 2])
})

test('an event that throws stops the move there, and the clock can go on', async () => {
  const clock = virtualClock()
  let later = false
  clock.at(1, () => {
    throw new Error('on purpose')
  })
  clock.at(2, () => {
    later = true
  })
  await expect(clock.advance(5)).rejects.toThrow('on purpose')
  expect([clock.now(), later]).toEqual([1, false])
  await clock.advance(5)
  expect([clock.now(), later]).toEqual([6, true])
})

test('two moves at once, a time that is none, and what reschedules itself for ever are errors', async () => {
  const clock = virtualClock()
  const first = clock.advance(1)
  await expect(clock.advance(1)).rejects.toThrow('already')
  await first
  expect(() => clock.at(NaN, () => {})).toThrow(RangeError)
  await expect(clock.advance(NaN)).rejects.toThrow(RangeError)
  await expect(clock.advance(Infinity)).rejects.toThrow(RangeError)
  expect(() => virtualClock({ start: NaN })).toThrow(RangeError)
  const again = (): void => void clock.at(clock.now() + 1, again)
  again()
  await expect(clock.runUntilIdle({ limit: 50 })).rejects.toThrow('still not idle after 50 events')
})

test('the system clock runs at or after the time, once, and not when disposed', async () => {
  const clock = systemClock()
  const seen: string[] = []
  const asked = clock.now() + 5
  clock.at(clock.now() + 1, () => seen.push('disposed'))[Symbol.dispose]()
  // Beyond what a timer holds: it would fire at once.
  const far = clock.at(clock.now() + 2 ** 40, () => seen.push('far'))
  const at = await new Promise<number>((resolve) => {
    clock.at(asked, () => resolve(clock.now()))
  })
  expect(at).toBeGreaterThanOrEqual(asked)
  clock.at(Infinity, () => seen.push('never'))
  await new Promise<void>((resolve) => clock.at(-1, resolve))
  expect(seen).toEqual([])
  far[Symbol.dispose]()
})

test.each([
  ['virtual', virtualClock()],
  ['system', systemClock()],
] as const)('soon is after what has arrived, in order and without a wait, although nobody moves the %s clock', async (_name, clock) => {
  const seen: string[] = []
  await new Promise<void>((resolve) => {
    clock.soon(() => {
      seen.push('first')
      void Promise.resolve().then(() => seen.push('its promise'))
      clock.soon(() => seen.push('third'))
      clock.soon(resolve)
    })
    clock.soon(() => seen.push('second'))
    void Promise.resolve().then(() => seen.push('before'))
  })
  expect(seen).toEqual(['before', 'first', 'its promise', 'second', 'third'])
})

test('on a clock that is moved, soon is an event of the same time, after those that are due', async () => {
  const clock = virtualClock()
  const view = clock.view({ rate: 1.1 })
  const seen: string[] = []
  const note = (name: string) => () => void seen.push(`${name}@${clock.now()}`)
  clock.at(5, () => view.soon(note('soon')))
  clock.at(5, note('due'))
  clock.at(6, note('later'))
  clock.soon(note('at once'))
  expect(clock.waiting).toBe(4)
  await clock.runUntilIdle()
  expect([seen, clock.waiting]).toEqual([['at once@0', 'due@5', 'soon@5', 'later@6'], 0])
  clock.soon(note('still'))
  await drainMicrotasks()
  expect([seen.at(-1), clock.waiting]).toEqual(['still@6', 0])
})

test('a view of the clock runs at its own rate and jumps alone; what waits on it waits for time that passes', async () => {
  const clock = virtualClock({ start: 1000 })
  const fast = clock.view({ rate: 2, offset: 500 })
  const fired: number[] = []
  fast.at(fast.now() + 100, () => fired.push(clock.now()))
  fast.at(fast.now() + 200, () => fired.push(clock.now()))
  fast.jump(3_600_000)
  await clock.advance(60)
  fast.jump(-7_200_000)
  await clock.advance(60)
  expect(fired.map(Math.floor)).toEqual([1050, 1100])
  expect([fast.now(), fast.elapsed(), clock.now(), clock.elapsed()]).toEqual([1000 + 500 + 240 - 3_600_000, 240, 1120, 120])
})

test('a view whose time is a fraction fires not before its time', async () => {
  const clock = virtualClock()
  const slow = clock.view({ rate: 0.9 })
  let at = 0
  slow.at(100, () => {
    at = slow.now()
  })
  await clock.advance(1000)
  expect(at).toBeGreaterThanOrEqual(100 - 1e-6)
})
