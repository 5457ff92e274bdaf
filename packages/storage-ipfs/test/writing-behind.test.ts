import { expect, test } from 'vitest'
import { writingBehind } from '../src/writing-behind.ts'

test('so many writes run at the same time and no more, and all are done at the end', async () => {
  let [running, most, done] = [0, 0, 0]
  const one = async () => {
    most = Math.max(most, ++running)
    await new Promise((resolve) => setImmediate(resolve))
    running--
    done++
  }
  const result = await writingBehind(3, async (write) => {
    for (let count = 0; count < 10; count++) await write(one)
    return 'made'
  })
  expect([result, most, done]).toEqual(['made', 3, 10])
})

test('the first failure is told, after it nothing is begun, and nothing runs any more', async () => {
  let running = 0
  const begun: number[] = []
  const write = (number: number) => async () => {
    begun.push(number)
    running++
    await new Promise((resolve) => setImmediate(resolve))
    running--
    if (number === 1) throw new Error('the disk is full')
  }
  const working = writingBehind(2, async (add) => {
    for (let number = 0; number < 10; number++) await add(write(number))
  })
  await expect(working).rejects.toThrow('the disk is full')
  expect(begun.length).toBeLessThan(5)
  expect(running).toBe(0)
  // Also where nothing is written after it.
  await expect(writingBehind(2, (add) => add(write(1)))).rejects.toThrow('the disk is full')
  await expect(writingBehind(2, async () => Promise.reject(new Error('given up')))).rejects.toThrow('given up')
})
