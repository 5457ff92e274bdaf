import type { RunExit } from './index.ts'

export type StreamName = 'stdout' | 'stderr'

/** What is known of an id. `note` is what the driver needs to find its process again. */
export type ExecutionRecord =
  | { readonly state: 'started'; readonly note: Readonly<Record<string, string>> }
  | { readonly state: 'ended'; readonly exit: RunExit }
  /** A tombstone: a later run is refused. */
  | { readonly state: 'stopped'; readonly exit?: RunExit; readonly note?: Readonly<Record<string, string>> }

/** The output of one execution, addressed by offset. */
export interface OutputLog {
  length(stream: StreamName): number
  /** Takes the bytes before it returns: the caller may reuse them. */
  append(stream: StreamName, bytes: Uint8Array): void
  /** At most `limit` bytes from `offset`; fewer at the end. */
  read(stream: StreamName, offset: number, limit: number): Promise<Uint8Array>
}

/** Where records and output of executions are kept. A `put` of a tombstone resolves once it is durable. */
export interface ExecutionRecords {
  get(id: string): Promise<ExecutionRecord | undefined>
  put(id: string, record: ExecutionRecord): Promise<void>
  ids(): AsyncIterable<string>
  /** Removes the record with its output. Idempotent. */
  delete(id: string): Promise<void>
  /** Opens the output of an id, which may have no record yet. */
  log(id: string): Promise<OutputLog>
}

/** Records that live as long as the object. */
export const memoryRecords = (): ExecutionRecords => {
  const kept = new Map<string, ExecutionRecord>()
  const logs = new Map<string, OutputLog>()
  return {
    get: async (id) => kept.get(id),
    put: async (id, record) => {
      kept.set(id, record)
    },
    async *ids() {
      yield* [...kept.keys()]
    },
    delete: async (id) => {
      kept.delete(id)
      logs.delete(id)
    },
    log: async (id) => {
      const log = logs.get(id) ?? memoryLog()
      logs.set(id, log)
      return log
    },
  }
}

const memoryLog = (): OutputLog => {
  const kept: Record<StreamName, { bytes: Uint8Array; length: number }> = {
    stdout: { bytes: new Uint8Array(0), length: 0 },
    stderr: { bytes: new Uint8Array(0), length: 0 },
  }
  return {
    length: (stream) => kept[stream].length,
    append: (stream, bytes) => {
      const held = kept[stream]
      const length = held.length + bytes.length
      if (length > held.bytes.length) {
        const larger = new Uint8Array(Math.max(length, held.bytes.length * 2))
        larger.set(held.bytes.subarray(0, held.length))
        held.bytes = larger
      }
      held.bytes.set(bytes, held.length)
      held.length = length
    },
    read: async (stream, offset, limit) => kept[stream].bytes.slice(offset, Math.min(offset + limit, kept[stream].length)),
  }
}
