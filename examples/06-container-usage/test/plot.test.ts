import { expect, test } from 'vitest'
import { best, flights, hopsOf } from '../src/flights.ts'
import { plot, rate } from '../src/plot.ts'

test('the highest column fills all rows, the others their share', () => {
  const points = [0, 1, 2, 3].map((value) => ({ at: value * 10, value: value * 8 }))
  expect(plot(points, { width: 4, height: 3, end: 40 })).toEqual(['   █', '  ██', ' ███'])
})

test('a column without a sample has the value of the next one, and none comes after the last', () => {
  expect(plot([{ at: 50, value: 4 }], { width: 4, height: 1, end: 100 })).toEqual(['███ '])
  expect(plot([], { width: 3, height: 1, end: 100 })).toEqual(['   '])
})

test('a rate is what came since the sample before', () => {
  expect(
    rate([
      { at: 10, value: 5 },
      { at: 10, value: 6 },
      { at: 30, value: 16 },
    ]),
  ).toEqual([
    { at: 10, value: 0.5 },
    { at: 30, value: 0.5 },
  ])
})

test('the table of this program itself, which the container is checked against', () => {
  expect(hopsOf('origin,destination,count\nA,B,1\nB,C,1\nB,A,2\n')).toBe('A,B,1\nA,C,2\nB,A,1\nB,C,1\n')
  expect(best(hopsOf(flights()))[1]).toMatchObject({ from: 'ATL', reached: 303 })
})
