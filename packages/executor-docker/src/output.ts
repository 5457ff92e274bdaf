import { readSync } from 'node:fs'
import { open } from 'node:fs/promises'
import type { Execution } from '@skrei/executor/executions'
import type { EngineOutput } from './engine-client.ts'

const streams = ['stdout', 'stderr'] as const
type Counts = Record<EngineOutput['stream'], number>

/**
 * Goes on with the output of a container from what the engine kept of it: what is already on record is left out. Answers the streams of which the engine no longer has
 * the beginning: what it has of them cannot be put in its place, and is dropped.
 */
export const goOn = async (
  execution: Pick<Execution, 'write' | 'written'>,
  kept: AsyncIterable<EngineOutput>,
  path: (stream: EngineOutput['stream']) => string,
): Promise<ReadonlySet<EngineOutput['stream']>> => {
  const already: Counts = { stdout: execution.written('stdout'), stderr: execution.written('stderr') }
  const heads = Object.fromEntries(await Promise.all(streams.map(async (stream) => [stream, await head(path(stream))]))) as Record<
    EngineOutput['stream'],
    Uint8Array
  >
  const seen: Counts = { stdout: 0, stderr: 0 }
  const lost = new Set<EngineOutput['stream']>()
  for await (const { stream, bytes } of kept) {
    if (lost.has(stream)) continue
    const before = seen[stream]
    seen[stream] += bytes.length
    const known = heads[stream].subarray(before, before + bytes.length)
    if (Buffer.compare(known, bytes.subarray(0, known.length)) !== 0) {
      lost.add(stream)
      continue
    }
    const skip = Math.max(0, already[stream] - before)
    if (skip < bytes.length) execution.write(stream, bytes.subarray(skip))
  }
  // It has less than is on record: what came between is not known.
  for (const stream of streams) if (seen[stream] < already[stream]) lost.add(stream)
  return lost
}

const headBytes = 4096

const head = async (path: string): Promise<Uint8Array> => {
  const file = await open(path, 'r').catch(() => undefined)
  if (file === undefined) return new Uint8Array(0)
  try {
    const bytes = new Uint8Array(headBytes)
    return bytes.subarray(0, readSync(file.fd, bytes, 0, headBytes, 0))
  } finally {
    await file.close()
  }
}
