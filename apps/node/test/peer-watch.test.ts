import type { Logger } from '@skrei/scheduler'
import { expect, test } from 'vitest'
import { peerWatch } from '../src/node/peer-watch.ts'

const watched = () => {
  const lines: (readonly [string, unknown])[] = []
  const write =
    (level: string) =>
    (_message: string, fields?: Readonly<Record<string, unknown>>): void =>
      void lines.push([level, fields])
  const logger: Logger = { debug: write('debug'), info: write('info'), warn: write('warn'), error: write('error') }
  let now = 0
  const watch = peerWatch({ addresses: ['/ip4/127.0.0.1/tcp/4001/p2p/A', '/ip4/127.0.0.1/tcp/4002/p2p/B'], logger, now: () => now })
  return {
    lines,
    watch,
    look: (at: number, ...connected: readonly string[]): void => {
      now = at
      watch.look((peer) => connected.includes(peer))
    },
  }
}

test('a peer of the configuration that is not reached is told after some seconds, then rarely, and so is that it is back', () => {
  const { lines, watch, look } = watched()
  watch.failed('A', new Error('ECONNREFUSED'))
  watch.failed('stranger', new Error('no'))
  look(4000, 'B')
  expect(lines).toEqual([])
  look(6000, 'B')
  expect(lines).toEqual([['warn', { peer: 'A', addresses: ['/ip4/127.0.0.1/tcp/4001/p2p/A'], seconds: 6, error: 'ECONNREFUSED' }]])
  for (let at = 7000; at < 600_000; at += 3000) look(at, 'B')
  expect(lines).toHaveLength(1)
  look(606_000, 'B')
  expect(lines).toHaveLength(2)
  look(610_000, 'A', 'B')
  expect(lines.slice(2)).toEqual([['info', { peer: 'A', seconds: 610 }]])
})

test('a peer that is away for a moment only is not told', () => {
  const { lines, look } = watched()
  look(0, 'B')
  look(3000, 'A', 'B')
  look(4000, 'B')
  look(8000, 'B')
  look(8500, 'A', 'B')
  expect(lines).toEqual([])
})
