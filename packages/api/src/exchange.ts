/** A request, whatever it came by. */
export interface ApiRequest {
  readonly method: string
  /** Path and query, as they were sent. */
  readonly target: string
  /** By its name in lower case. */
  header(name: string): string | undefined
  /** Read once at most; not read further than is asked for. */
  readonly body: AsyncIterable<Uint8Array>
  /** Aborted when whoever asked is gone. */
  readonly signal: AbortSignal
}

/** An answer. Whoever sends it calls `ended` once when it is sent or will not be, and returns the body's iterator if it has begun to read. */
export interface ApiAnswer {
  readonly status: number
  readonly headers: Readonly<Record<string, string>>
  readonly body?: string | AsyncIterable<string | Uint8Array>
  readonly ended?: () => void
}

const jsonType = 'application/json'

export const jsonAnswer = (status: number, value: unknown, headers?: Readonly<Record<string, string>>): ApiAnswer => ({
  status,
  headers: { 'content-type': jsonType, ...headers },
  body: JSON.stringify(value),
})
