import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { encodeLogRequest, type LogRequest, logFrames, logsProtocol } from '@skrei/protocol'
import { memoryStateStore } from '@skrei/state-store/memory'
import type { Workspace } from '@skrei/storage'
import { localWorkspace } from '@skrei/storage/local'
import type { Transport } from '@skrei/transport'
import { virtualClock } from '@skrei/transport/memory'
import { expect, test } from 'vitest'
import { serveLogs } from '../src/compute/serve-logs.ts'
import type { Transition } from '../src/kernel/event.ts'

type Handler = Parameters<Transport['serve']>[1]

/** A node that has execution `x` of requester `r`. */
const served = (workspace: Workspace, state = 'running') => {
  const clock = virtualClock({ start: 0 })
  const store = memoryStateStore()
  const listeners = new Set<(transition: Transition) => void>()
  let handler: Handler | undefined
  const written = { stdout: 0, stderr: 0 }
  const put = (to: string, requester = 'r', id = 'x'): void =>
    store.transact((transaction) => transaction.put({ kind: 'compute', id, state: to, open: true, version: 1, data: { id, requester } }))
  put(state)
  const serving = serveLogs({
    network: 'test',
    store,
    clock,
    workspace,
    written: () => written,
    kernel: {
      onTransition: (listener) => {
        listeners.add(listener)
        return { [Symbol.dispose]: () => void listeners.delete(listener) }
      },
    },
    transport: {
      serve: (protocol: string, given: Handler) => {
        expect(protocol).toBe(logsProtocol)
        handler = given
        return {
          [Symbol.dispose]: () => {
            handler = undefined
          },
        }
      },
    } as unknown as Transport,
  })
  const askRaw = (from: string, body: Uint8Array, signal?: AbortSignal): AsyncIterable<Uint8Array> =>
    handler?.(from, body, { ...(signal && { signal }) }) ?? expect.unreachable()
  return {
    clock,
    put,
    written,
    serving,
    askRaw,
    ask: (from: string, change: Partial<LogRequest> = {}, signal?: AbortSignal) =>
      logFrames(askRaw(from, encodeLogRequest({ network: 'test', execution: 'x', from: { stdout: 0 }, follow: true, ...change }), signal)),
    moveTo: (to: string): void => {
      put(to)
      for (const listener of listeners)
        listener({ kind: 'compute', id: 'x', from: 'staging', to, at: 0, event: { type: 'x' }, actor: 'x', context: null, open: true })
    },
  }
}

/** What a whole answer says: its text, and how it ends. */
const answerOf = async (frames: ReturnType<typeof logFrames>): Promise<readonly [string, unknown]> => {
  let text = ''
  for await (const frame of frames) {
    if ('end' in frame) return [text, frame.end]
    text += Buffer.from(frame.bytes).toString()
  }
  return [text, undefined]
}

const inDirectory = async (run: (workspace: Workspace) => Promise<void>): Promise<void> => {
  const directory = await mkdtemp(join(tmpdir(), 'skrei-serve-logs-'))
  try {
    await run(localWorkspace({ directory: join(directory, 'workspace') }))
  } finally {
    await rm(directory, { recursive: true })
  }
}
const bytes = (text: string): Uint8Array => new TextEncoder().encode(text)

test('a requester reads what its execution writes to a real workspace, from any byte on, while it is written and when it is sealed', async () => {
  await inDirectory(async (workspace) => {
    await workspace.open('x')
    await workspace.append('x', 'stdout', 0, bytes('one '))
    const node = served(workspace)
    node.written.stdout = 4
    const frames = node.ask('r')
    expect(await frames.next()).toMatchObject({ value: { stream: 'stdout', bytes: bytes('one ') } })
    const waiting = frames.next()
    await workspace.append('x', 'stdout', 4, bytes('two'))
    expect(await waiting).toMatchObject({ value: { bytes: bytes('two') } })
    expect(await answerOf(node.ask('r', { follow: false, from: { stdout: 0, stderr: 0 } }))).toEqual(['one ', 'now'])
    node.written.stdout = 7
    expect(await answerOf(node.ask('r', { follow: false, from: { stdout: 2 } }))).toEqual(['e two', 'now'])
    expect(await answerOf(node.ask('r', { follow: false, from: { stdout: 99 } }))).toEqual(['', 'now'])
    const rest = answerOf(frames)
    await workspace.append('x', 'stdout', 7, bytes('!'))
    await workspace.seal('x')
    node.moveTo('finished')
    expect(await rest).toEqual(['!', 'over'])
    expect(await answerOf(node.ask('r', { from: { stderr: 0, stdout: 3 }, follow: false }))).toEqual([' two!', 'over'])
    await workspace.remove('x')
    node.moveTo('cleaning')
    expect(await answerOf(node.ask('r'))).toEqual(['', 'gone'])
    node.serving[Symbol.dispose]()
  })
})

test('a long output is cut into frames, however the workspace gives it', async () => {
  await inDirectory(async (workspace) => {
    await workspace.open('x')
    const long = new Uint8Array(300_000).map((_, index) => index % 251)
    await workspace.append('x', 'stderr', 0, long)
    await workspace.seal('x')
    const seen: Uint8Array[] = []
    for await (const frame of served(workspace, 'finished').ask('r', { from: { stderr: 1 } })) if (!('end' in frame)) seen.push(frame.bytes)
    expect(Buffer.concat(seen).equals(long.subarray(1))).toBe(true)
    expect(Math.max(...seen.map(({ length }) => length))).toBeLessThanOrEqual(65_536)
  })
})

/** A workspace in which every stream grows for ever, and which counts. */
const endless = () => {
  const counts = { pulled: 0, open: 0 }
  const workspace = {
    tail: async function* () {
      counts.open += 1
      try {
        for (;;) {
          counts.pulled += 1
          yield new Uint8Array(65_536)
        }
      } finally {
        counts.open -= 1
      }
    },
  } as unknown as Workspace
  return { workspace, counts }
}

test('only the requester of an execution reads it, and what is no request leads to nothing', async () => {
  const { workspace, counts } = endless()
  const node = served(workspace)
  expect(await answerOf(node.ask('another'))).toEqual(['', 'unknown'])
  expect(await answerOf(node.ask('r', { execution: 'y' }))).toEqual(['', 'unknown'])
  const whole = encodeLogRequest({ network: 'test', execution: 'x', from: { stdout: 0 }, follow: true })
  const bodies = [
    new Uint8Array(),
    bytes('{"execution":"x"}'),
    whole.subarray(0, -1),
    new Uint8Array([...whole, 0]),
    new Uint8Array(2 ** 21),
    encodeLogRequest({ network: 'other', execution: 'x', from: { stdout: 0 }, follow: true }),
  ]
  for (const body of bodies) expect(await answerOf(logFrames(node.askRaw('r', body)))).toEqual(['', 'invalid'])
  for (const from of [{}, { stdout: -1 }, { stdout: 0.5 }, { evidence: 0 }])
    expect(() => encodeLogRequest({ network: 'test', execution: 'x', from, follow: true } as LogRequest)).toThrow()
  expect(counts).toEqual({ pulled: 0, open: 0 })
})

test('a slow reader holds back the tail', async () => {
  const { workspace, counts } = endless()
  const frames = served(workspace).ask('r')
  for (let count = 0; count < 3; count++) await frames.next()
  for (let count = 0; count < 50; count++) await Promise.resolve()
  expect(counts.pulled).toBeLessThanOrEqual(4)
  await frames.return()
  expect(counts.open).toBe(0)
})

test('of one peer 8 are open at once, of all 64; who leaves makes room, and who only holds a place loses it', async () => {
  const { workspace, counts } = endless()
  const node = served(workspace)
  const open = []
  for (let count = 0; count < 8; count++) {
    const frames = node.ask('r')
    await frames.next()
    open.push(frames)
  }
  expect(await answerOf(node.ask('r'))).toEqual(['', 'too-many'])
  await open[0]?.return()
  const again = node.ask('r')
  expect(await again.next()).toMatchObject({ value: { stream: 'stdout' } })
  expect(counts.open).toBe(8)
  await node.clock.advance(600_000)
  await new Promise((resolve) => setImmediate(resolve))
  // The readers took nothing more: their files are closed all the same.
  expect(counts.open).toBe(0)
  expect((await answerOf(again))[1]).toBe('again')
  const many = []
  for (let peer = 0; peer < 9; peer++) {
    node.put('running', `r${peer}`, `x${peer}`)
    for (let count = 0; count < 8; count++) {
      const frames = node.ask(`r${peer}`, { execution: `x${peer}` })
      many.push((await frames.next()).value)
    }
  }
  expect(many.map((frame) => frame && 'end' in frame)).toEqual(Array.from({ length: 72 }, (_, index) => index >= 64))
  expect(counts.open).toBe(64)
  await node.clock.advance(600_000)
  await new Promise((resolve) => setImmediate(resolve))
  expect(counts.open).toBe(0)
})

test('a reader of what has not begun waits for it, and lets go with its signal', async () => {
  const { workspace, counts } = endless()
  const node = served(workspace, 'staging')
  expect(await answerOf(node.ask('r', { follow: false }))).toEqual(['', 'now'])
  const [first, second, leaving] = [node.ask('r'), node.ask('r'), new AbortController()]
  const [begins, left] = [first.next(), answerOf(node.ask('r', {}, leaving.signal))]
  leaving.abort()
  expect(await left).toEqual(['', 'again'])
  expect(counts.pulled).toBe(0)
  node.moveTo('running')
  expect(await begins).toMatchObject({ value: { stream: 'stdout' } })
  expect(await second.next()).toMatchObject({ value: { stream: 'stdout' } })
  await first.return()
  expect(counts.open).toBe(1)
  // With the node's end, what is open ends, although its reader does not.
  node.serving[Symbol.dispose]()
  await new Promise((resolve) => setImmediate(resolve))
  expect(counts.open).toBe(0)
})
