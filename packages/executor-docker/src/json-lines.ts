import { EngineError } from './engine-client.ts'

const longestLine = 1 << 20

/** The values in a stream of lines of JSON. A line that is none, or longer than a mebibyte, is the engine's error. */
export async function* jsonLines(source: AsyncIterable<Uint8Array>): AsyncGenerator<unknown> {
  const decoder = new TextDecoder()
  let held = ''
  for await (const chunk of source) {
    held += decoder.decode(chunk, { stream: true })
    const lines = held.split('\n')
    held = lines.pop() ?? ''
    if (held.length > longestLine) throw new EngineError('the engine sent a line that does not end')
    for (const line of lines) if (line.trim() !== '') yield parsed(line)
  }
  if (held.trim() !== '') yield parsed(held)
}

const parsed = (line: string): unknown => {
  try {
    return JSON.parse(line)
  } catch (error) {
    throw new EngineError('the engine sent a line that is not JSON', undefined, { cause: error })
  }
}
