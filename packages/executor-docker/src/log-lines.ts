import type { EngineOutput } from './engine-client.ts'

interface Line {
  time: string
  parts: number
  ended: boolean
}

const newline = 10
const space = 32

/**
 * What a program wrote, out of the messages of the engine's log, each of which begins with its time and a space. The engine cuts lines into messages of 16 KiB
 * that have one time; its `local` driver drops the newline that ends such a line (seen with 20.10.24), and its absence is the only thing that
 * says that the last line of all had none. So a newline that is missing within the output is put back. Of a last line longer than 16 KiB it cannot be known whether
 * it had one: it is taken to have had one.
 */
export async function* written(messages: AsyncIterable<EngineOutput>): AsyncGenerator<EngineOutput> {
  const lines: Partial<Record<EngineOutput['stream'], Line>> = {}
  for await (const { stream, bytes } of messages) {
    const cut = bytes.indexOf(space)
    if (cut === -1) continue
    const time = new TextDecoder().decode(bytes.subarray(0, cut))
    const text = bytes.subarray(cut + 1)
    const line = lines[stream]
    const goesOn = line !== undefined && !line.ended && line.time === time
    if (line !== undefined && !line.ended && !goesOn) yield { stream, bytes: new Uint8Array([newline]) }
    lines[stream] = { time, parts: goesOn ? line.parts + 1 : 1, ended: text.at(-1) === newline }
    if (text.length > 0) yield { stream, bytes: text }
  }
  for (const stream of ['stdout', 'stderr'] as const) {
    const line = lines[stream]
    if (line !== undefined && !line.ended && line.parts > 1) yield { stream, bytes: new Uint8Array([newline]) }
  }
}
