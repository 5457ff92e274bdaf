import { expect, test } from 'vitest'
import { processPool } from '../src/process-pool.ts'

test('a process runs one guest, and no more', async () => {
  await using pool = processPool({ warm: 1, runsPerProcess: 1 })
  const first = await pool.take()
  await pool.giveBack(first, true)
  expect(first.alive()).toBe(false)
  const second = await pool.take()
  expect(second.pid).not.toBe(first.pid)
  await pool.giveBack(second, true)
})

test('a process runs as many guests as it may, and none after one that did not end well', async () => {
  await using pool = processPool({ warm: 1, runsPerProcess: 2 })
  const first = await pool.take()
  await pool.giveBack(first, true)
  const again = await pool.take()
  expect(again.pid).toBe(first.pid)
  await pool.giveBack(again, true)
  expect(first.alive()).toBe(false)
  const other = await pool.take()
  await pool.giveBack(other, false)
  expect(other.alive()).toBe(false)
})

test('a process that died while it waited is not handed out', async () => {
  await using pool = processPool({ warm: 1, runsPerProcess: 2 })
  const first = await pool.take()
  await pool.giveBack(first, true)
  await first.kill()
  const second = await pool.take()
  expect(second.alive()).toBe(true)
  await pool.giveBack(second, true)
})

test('a closed pool has no process left and gives none', async () => {
  const pool = processPool({ warm: 2, runsPerProcess: 1 })
  const taken = await pool.take()
  pool.fill()
  await pool[Symbol.asyncDispose]()
  expect(taken.alive()).toBe(false)
  await expect(pool.take()).rejects.toThrow(/closed/)
})
