import { decodeLogRequest, encodeLogEnd, encodeLogFrame, type LogEnd, type LogRequest, logsProtocol, maxLogFrameBytes, ProtocolError } from '@skrei/protocol'
import type { Row, StateStore } from '@skrei/state-store'
import type { Workspace } from '@skrei/storage'
import type { Clock, Transport } from '@skrei/transport'
import type { Kernel } from '../kernel/kernel.ts'
import type { ComputeContext } from '../machines/compute-execution.ts'
import type { Written } from './role.ts'

export interface ServeLogsWorld {
  readonly network: string
  readonly transport: Transport
  readonly store: StateStore
  readonly clock: Clock
  readonly kernel: Pick<Kernel, 'onTransition'>
  readonly workspace: Workspace
  readonly written: (id: string) => Written
}

// Each holds two files open, and may be read as slowly as its reader likes: it has its place for a while only.
const openAtOnce = 64
const openOfOne = 8
const longest = 600_000

type Stream = 'stdout' | 'stderr'

/** The program has not begun to write. */
const unbegun: ReadonlySet<string> = new Set(['assessing', 'queued', 'reserved', 'staging'])
/** It may write. */
const writing: ReadonlySet<string> = new Set(['running', 'halting', 'stopping'])
/** Nothing of it is kept, or will not be for long. */
const gone: ReadonlySet<string> = new Set(['cleaning', 'done', 'declined', 'released', 'expired'])

/** Answers the requester of an execution, and nobody else, with what that writes to its streams, as fast as it is read. Changes nothing. */
export const serveLogs = (world: ServeLogsWorld): Disposable => {
  const { clock, store, transport, workspace } = world
  const places = createPlaces()
  const beginning = new Map<string, Set<() => void>>()
  /** Ends each that is open. */
  const ends = new Set<() => void>()

  const listening = world.kernel.onTransition(({ kind, id, to }) => {
    if (kind === 'compute' && !unbegun.has(to)) for (const resolve of beginning.get(id) ?? []) resolve()
  })

  const rowOf = (id: string): Row | undefined => store.read((reader) => reader.get('compute', id))

  const begun = async (id: string, signal: AbortSignal): Promise<void> => {
    const { promise, resolve } = Promise.withResolvers<void>()
    const those = beginning.get(id) ?? new Set()
    beginning.set(id, those.add(resolve))
    signal.addEventListener('abort', () => resolve(), { once: true })
    if (signal.aborted) resolve()
    await promise
    those.delete(resolve)
    if (those.size === 0) beginning.delete(id)
  }

  /** What one stream holds from `from` on; only up to `end`, where that is given. */
  async function* part(id: string, stream: Stream, from: number, end: number, signal: AbortSignal): AsyncGenerator<Uint8Array> {
    let position = from
    if (position >= end) return
    for await (const bytes of workspace.tail(id, stream, from, { signal })) {
      for (let at = 0; at < bytes.length && position < end; at += maxLogFrameBytes) {
        const frame = bytes.subarray(at, Math.min(at + maxLogFrameBytes, at + end - position))
        position += frame.length
        yield frame
      }
      if (position >= end) return
    }
  }

  async function* answer(request: LogRequest, signal: AbortSignal): AsyncGenerator<Uint8Array, LogEnd> {
    const { execution: id, follow } = request
    if (unbegun.has(rowOf(id)?.state ?? '')) {
      if (!follow) return 'now'
      await begun(id, signal)
      if (signal.aborted) return 'again'
    }
    const state = rowOf(id)?.state ?? 'done'
    if (gone.has(state)) return 'gone'
    const isNow = !follow && writing.has(state)
    const ends: Written = isNow ? world.written(id) : { stdout: Number.POSITIVE_INFINITY, stderr: Number.POSITIVE_INFINITY }
    const wanted = (['stdout', 'stderr'] as const).flatMap((stream) => {
      const from = request.from[stream]
      return from === undefined ? [] : [[stream, part(id, stream, from, ends[stream], signal)] as const]
    })
    for await (const [stream, bytes] of inTurn(wanted, signal)) yield encodeLogFrame(stream, bytes)
    if (signal.aborted) return 'again'
    return isNow ? 'now' : gone.has(rowOf(id)?.state ?? 'done') ? 'gone' : 'over'
  }

  const served = transport.serve(logsProtocol, async function* (from, body, { signal: given }) {
    const request = requestOf(body, world.network)
    if (request === undefined) return yield encodeLogEnd('invalid')
    const context = rowOf(request.execution)?.data as unknown as ComputeContext | undefined
    if (context?.requester !== from) return yield encodeLogEnd('unknown')
    if (!places.take(from)) return yield encodeLogEnd('too-many')
    const ending = new AbortController()
    const end = (): void => {
      if (ending.signal.aborted) return
      ending.abort()
      places.free(from)
      ends.delete(end)
    }
    ends.add(end)
    using _alarm = clock.at(clock.now() + longest, end)
    given?.addEventListener('abort', end, { once: true })
    if (given?.aborted) end()
    try {
      yield encodeLogEnd(yield* answer(request, ending.signal))
    } finally {
      given?.removeEventListener('abort', end)
      end()
    }
  })

  return {
    [Symbol.dispose]: () => {
      served[Symbol.dispose]()
      for (const end of ends) end()
      listening[Symbol.dispose]()
    },
  }
}

const requestOf = (body: Uint8Array, network: string): LogRequest | undefined => {
  try {
    return decodeLogRequest(body, { network })
  } catch (error) {
    if (error instanceof ProtocolError) return undefined
    throw error
  }
}

/** How many queries are open, of each peer and of all. */
const createPlaces = (): { take(peer: string): boolean; free(peer: string): void } => {
  const open = new Map<string, number>()
  let all = 0
  return {
    take: (peer) => {
      const mine = open.get(peer) ?? 0
      if (all >= openAtOnce || mine >= openOfOne) return false
      open.set(peer, mine + 1)
      all += 1
      return true
    },
    free: (peer) => {
      const mine = open.get(peer) ?? 0
      if (mine > 1) open.set(peer, mine - 1)
      else open.delete(peer)
      all -= 1
    },
  }
}

/** Of several sequences each item as it comes, one of each ahead of the reader. With the signal they are closed, although the reader waits before it takes the next. */
async function* inTurn<Name>(
  sources: readonly (readonly [Name, AsyncIterator<Uint8Array>])[],
  signal: AbortSignal,
): AsyncGenerator<readonly [Name, Uint8Array]> {
  const ready: { readonly name: Name; readonly source: AsyncIterator<Uint8Array>; readonly came: IteratorResult<Uint8Array> | { readonly error: unknown } }[] =
    []
  let wake = (): void => {}
  const pull = (name: Name, source: AsyncIterator<Uint8Array>): void => {
    const arrive = (came: IteratorResult<Uint8Array> | { readonly error: unknown }): void => {
      ready.push({ name, source, came })
      wake()
    }
    source.next().then(arrive, (error: unknown) => arrive({ error }))
  }
  const close = (): void => {
    for (const [, source] of sources) void source.return?.()?.catch(() => {})
  }
  signal.addEventListener('abort', close, { once: true })
  let left = sources.length
  for (const [name, source] of sources) pull(name, source)
  try {
    while (left > 0) {
      const next = ready.shift()
      if (next === undefined) {
        await new Promise<void>((resolve) => {
          wake = resolve
        })
        continue
      }
      if ('error' in next.came) throw next.came.error
      if (next.came.done) left -= 1
      else {
        yield [next.name, next.came.value]
        pull(next.name, next.source)
      }
    }
  } finally {
    close()
  }
}
