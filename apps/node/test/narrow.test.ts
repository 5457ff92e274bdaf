import { stripVTControlCharacters, styleText } from 'node:util'
import type { Job } from '@skrei/api/client'
import * as fc from 'fast-check'
import { expect, test } from 'vitest'
import type { JobTimeline } from '../src/remote/job-timeline.ts'
import { type Style, titledTable, wrapped } from '../src/table.ts'
import { timelineText } from '../src/timeline-text.ts'

const plain: Style = (_, text) => text
const coloured: Style = (format, text) => styleText(format, text, { validateStream: false })
const id = '01a22d04-43f9-73a5-b393-fc0684950b79'
const node = `12D3KooW${'N'.repeat(36)}JiJNS1tQ`
const titles = ['job', 'name', 'state', 'shards', 'submitted']
const rows = [
  [id, 'a job with a rather long name', 'failed  exit-nonzero', '0/2, 1 failed', '3s ago'],
  [id, 'short', 'completed', '3/3', '38s ago'],
]
const table = (width: number | undefined, style: Style = plain) => titledTable(titles, rows, style, { width, free: [1, 2] })

test('what reads a table that is no terminal has whole lines', () => {
  expect(table(undefined)[1]).toBe(`${id}  a job with a rather long name  failed  exit-nonzero  0/2, 1 failed  3s ago`)
})

test('free text is cut as far as a terminal needs, the longest first', () => {
  expect(table(120)).toEqual(table(undefined))
  expect(table(100)).toEqual([
    `job${' '.repeat(35)}name               state              shards         submitted`,
    `${id}  a job with a rat…  failed  exit-non…  0/2, 1 failed  3s ago`,
    `${id}  short              completed          3/3            38s ago`,
  ])
})

test('in a terminal that is too narrow for that, each id has a line of its own', () => {
  expect(table(60)).toEqual([
    'job',
    '    name           state           shards         submitted',
    id,
    '    a job with a…  failed  exit-…  0/2, 1 failed  3s ago',
    id,
    '    short          completed       3/3            38s ago',
  ])
})

test('no column but those of free text is ever cut, and no line is longer than it must be', () => {
  const cell = fc.string({ unit: fc.constantFrom(...'abc d'), minLength: 1, maxLength: 40 }).map((text) => text.trim() || 'x')
  fc.assert(
    fc.property(fc.array(fc.tuple(fc.constant(node), cell, cell, cell), { minLength: 1, maxLength: 5 }), fc.integer({ min: 20, max: 200 }), (all, width) => {
      const lines = titledTable(['', '', '', ''], all, plain, { width, free: [2] })
      const text = lines.join('\n')
      for (const [first, fixed, , last] of all) for (const kept of [first, fixed, last]) expect(text).toContain(kept)
      const needed = 4 + 2 + 2 + 8 + Math.max(...all.map(([, fixed]) => fixed.length)) + Math.max(...all.map(([, , , last]) => last.length))
      for (const line of lines) expect(line.length).toBeLessThanOrEqual(Math.max(width, needed, node.length))
    }),
  )
})

test('what is styled is cut by what is seen of it, and its style ends', () => {
  const lines = titledTable(['a', 'b'], [[coloured('red', 'a text that is long'), 'end']], coloured, { width: 15, free: [0] })
  expect(lines.map(stripVTControlCharacters)).toEqual(['a           b', 'a text th…  end'])
  expect(lines[1]).toContain('\u001b[39m')
})

test('words are put into lines, and none is broken', () => {
  expect(wrapped(['some', 'words', node, 'more'], 12)).toEqual(['some words', node, 'more'])
  expect(wrapped(['a', 'b'], undefined, '  ')).toEqual(['a  b'])
  expect(wrapped([], 12)).toEqual([''])
})

test('the timeline of a job tells what happened below a shard where there is no room beside it', () => {
  const failure = { code: 'exit-nonzero', detail: 'exit code 3' } as const
  const job = { id, name: 'bad', specCid: 'bafy', state: 'failed', open: false, submittedAt: 0, shards: { total: 2, completed: 1, failed: 1 }, failure } as Job
  const timeline: JobTimeline = {
    states: ['planning', 'running', 'stopping', 'composing', 'failed'].map((state, index) => ({ state, at: index * 100 })),
    shards: [
      { index: 0, state: 'completed', executions: [{ id: 'a', node, startedAt: 0, endedAt: 300, outcome: 'completed' }] },
      { index: 1, state: 'failed', failure, executions: [{ id: 'b', node, startedAt: 0, endedAt: 300, outcome: 'failed', failure }] },
    ],
    cut: false,
  }
  const at = (width: number | undefined) => timelineText(job, timeline, 0, { style: plain, width })
  expect(at(60).slice(-4)).toEqual([
    '  shard 0  completed  +0.0s  0.3s  …JiJNS1tQ  completed',
    '  shard 1  failed     +0.0s  0.3s  …JiJNS1tQ  failed  exit-nonzero',
    '    The program ended with an exit code other than 0: exit',
    '    code 3',
  ])
  expect(at(undefined).at(-1)).toBe(
    '  shard 1  failed     +0.0s  0.3s  …JiJNS1tQ  failed  exit-nonzero  The program ended with an exit code other than 0: exit code 3',
  )
  for (const width of [70, 80, 100]) for (const line of at(width)) expect(line.length).toBeLessThanOrEqual(width)
})
