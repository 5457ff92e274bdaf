import type { Engine } from './engines.ts'
import { stderrBytes } from './job-error.ts'

/** What executions that failed wrote to stderr at their end: where a job publishes nothing, there is no other place to read it. */
export interface StderrTails {
  /** The engine, listened to. */
  of(engine: Engine): Engine
  /** Of an execution that failed lately; else empty. */
  find(execution: string): string
}

/** Of a job only one failure is told. */
const mostKept = 64

export const stderrTails = (): StderrTails => {
  const kept = new Map<string, Buffer>()
  const keep = (execution: string, tail: Buffer): void => {
    kept.set(execution, tail)
    const [oldest] = kept.keys()
    if (kept.size > mostKept && oldest !== undefined) kept.delete(oldest)
  }
  return {
    of: (engine) => ({
      ...engine,
      run: async function* (request, options) {
        let tail = Buffer.alloc(0)
        for await (const event of engine.run(request, options)) {
          if (event.type === 'output' && event.stream === 'stderr') tail = Buffer.concat([tail, event.bytes.subarray(-stderrBytes)]).subarray(-stderrBytes)
          if (event.type === 'exit' && event.failure !== undefined) keep(request.id, tail)
          yield event
        }
      },
    }),
    find: (execution) => new TextDecoder().decode(kept.get(execution)),
  }
}
