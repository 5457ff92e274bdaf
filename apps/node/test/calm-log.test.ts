import type { Logger } from '@skrei/scheduler'
import { expect, test } from 'vitest'
import { calmLog } from '../src/node/calm-log.ts'

const recorded = () => {
  const lines: (readonly [string, string, unknown])[] = []
  const write =
    (level: string) =>
    (message: string, fields?: Readonly<Record<string, unknown>>): void =>
      void lines.push([level, message, fields])
  const log: Logger = { debug: write('debug'), info: write('info'), warn: write('warn'), error: write('error') }
  let now = 0
  const pass = (milliseconds: number): void => {
    now += milliseconds
  }
  return { lines, log: calmLog(log, () => now), pass }
}

test('one peer gets ten lines of a kind in a minute, and how many were left out is told; others are heard', () => {
  const { lines, log, pass } = recorded()
  for (let count = 0; count < 1000; count++) log.warn('messages were refused', { from: 'hostile' })
  expect(lines).toHaveLength(10)
  log.warn('messages were refused', { from: 'other' })
  log.warn('a peer refused a message', { to: 'hostile' })
  expect(lines).toHaveLength(12)
  pass(60_000)
  log.warn('messages were refused', { from: 'hostile' })
  expect(lines.slice(12)).toEqual([
    ['warn', 'lines were left out: too many of one kind', { lines: 990, message: 'messages were refused' }],
    ['warn', 'messages were refused', { from: 'hostile' }],
  ])
})

test('ten thousand identities fill it no further than a hundred do', () => {
  const { lines, log } = recorded()
  for (let count = 0; count < 10_000; count++) log.info('the stream of a peer was closed', { peer: `peer-${count}` })
  expect(lines).toHaveLength(100)
})

test('what is about no peer, and every error, is written', () => {
  const { lines, log } = recorded()
  for (let count = 0; count < 200; count++) {
    log.warn('an effect failed', { id: 'x' })
    log.error('something went wrong', { peer: 'p' })
    log.debug('a hint', { from: 'p' })
  }
  expect(lines).toHaveLength(600)
})
