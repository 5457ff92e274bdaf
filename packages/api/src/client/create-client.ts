import { ApiError } from '../api-error.ts'
import { endpoints, type RouteName } from '../endpoints.ts'
import type { AnswerOf } from '../routes.ts'
import type { LogChunk, LogEvent } from '../schema/log.ts'
import { type HeldEntry, tarArchive, tarBlob } from '../tar-writer.ts'
import { readJson, readText, requireType, unreachable } from './answers.ts'
import type { ApiClient, ApiClientOptions, CallOptions, Content, JobEvent, UploadFile } from './api-client.ts'
import { resumedEvents } from './event-reader.ts'
import { createRetries } from './retries.ts'

type Body = NonNullable<RequestInit['body']>

interface Ask {
  readonly id?: string
  readonly path?: string
  readonly query?: Readonly<Record<string, string | number | boolean | undefined>>
  readonly headers?: Readonly<Record<string, string | undefined>>
  readonly body?: Body
  readonly signal?: AbortSignal | undefined
}

const filled = (template: string, { id = '', path = '' }: Ask): string =>
  template.replace('{id}', encodeURIComponent(id)).replace('{path}', path.split('/').map(encodeURIComponent).join('/'))

const queryOf = (query: Ask['query'] = {}): string => {
  const given = new URLSearchParams()
  for (const [key, value] of Object.entries(query)) if (value !== undefined) given.set(key, String(value))
  return given.size === 0 ? '' : `?${given}`
}

const headersOf = (headers: Ask['headers'] = {}): Record<string, string> =>
  Object.fromEntries(Object.entries(headers).flatMap(([key, value]) => (value === undefined ? [] : [[key, value]])))

const bytesOf = (base64: string): Uint8Array => Uint8Array.from(atob(base64), (character) => character.charCodeAt(0))

const chunkOf = ({ text, base64, ...head }: LogEvent): LogChunk => ({
  ...head,
  bytes: base64 === undefined ? new TextEncoder().encode(text ?? '') : bytesOf(base64),
})

const streamed = (content: Content): content is AsyncIterable<Uint8Array> => !(content instanceof Uint8Array || content instanceof Blob)

async function* chunksOf(content: Content): AsyncGenerator<Uint8Array, void, undefined> {
  if (content instanceof Uint8Array) yield content
  else yield* content instanceof Blob ? content.stream() : content
}

/** Whether all of a directory can be sent at once: it lies there, and none of it streams. */
const held = (files: Iterable<UploadFile> | AsyncIterable<UploadFile>): files is HeldEntry[] =>
  Array.isArray(files) && files.every(({ content }: UploadFile) => !streamed(content))

/** `failed` is told what goes wrong with the content itself: `fetch` only says that it failed. */
const streamOf = (content: AsyncIterable<Uint8Array>, failed: (error: unknown) => void): ReadableStream<Uint8Array> => {
  const iterator = content[Symbol.asyncIterator]()
  return new ReadableStream(
    {
      pull: async (controller) => {
        try {
          const next = await iterator.next()
          if (next.done === true) controller.close()
          else controller.enqueue(next.value)
        } catch (error) {
          failed(error)
          throw error
        }
      },
      cancel: async () => {
        await iterator.return?.()
      },
    },
    { highWaterMark: 0 },
  )
}

/**
 * A client of the node at `url`. Runs in Node and in browsers.
 *
 * @throws TypeError where `url` is none of http or https
 *
 * @example
 * const node = apiClient({ url: 'http://127.0.0.1:1212' })
 * const { job } = await node.submit(text, { wait: 30 })
 * for await (const event of node.events(job.id)) console.log(event)
 */
export const apiClient = (options: ApiClientOptions): ApiClient => {
  const parsed = new URL(options.url)
  if (parsed.protocol !== 'http:' && parsed.protocol !== 'https:') throw new TypeError(`${options.url} is no http or https URL`)
  const url = `${parsed.origin}${parsed.pathname.replace(/\/+$/, '')}`
  const fetched = options.fetch ?? ((...given: Parameters<typeof fetch>) => fetch(...given))
  const startTries = createRetries(options)

  const open = async (name: RouteName, ask: Ask): Promise<Response> => {
    const { method, path } = endpoints[name]
    const { signal, body } = ask
    signal?.throwIfAborted()
    const init: RequestInit & { duplex?: 'half' } = {
      method,
      headers: headersOf(ask.headers),
      // A node never sends anybody elsewhere.
      redirect: 'manual',
      ...(signal && { signal }),
      ...(body !== undefined && { body, ...(body instanceof ReadableStream && { duplex: 'half' }) }),
    }
    try {
      return await fetched(`${url}${filled(path, ask)}${queryOf(ask.query)}`, init)
    } catch (error) {
      signal?.throwIfAborted()
      throw unreachable(url, error)
    }
  }
  const settled = async <T>(signal: AbortSignal | undefined, read: Promise<T>): Promise<T> => {
    try {
      return await read
    } catch (error) {
      signal?.throwIfAborted()
      throw error
    }
  }
  const json = async <K extends RouteName>(name: K, key: string, ask: Ask = {}): Promise<AnswerOf<K>> =>
    settled(ask.signal, readJson(await open(name, ask), url, key)) as Promise<AnswerOf<K>>
  /** For what may be asked twice. */
  const patient = async <T>(signal: AbortSignal | undefined, ask: () => Promise<T>): Promise<T> => {
    const tries = startTries()
    while (true) {
      try {
        return await ask()
      } catch (error) {
        await tries.next(error, signal)
      }
    }
  }
  async function* bytes(response: Response, signal: AbortSignal | undefined): AsyncGenerator<Uint8Array, void, undefined> {
    const reader = response.body?.getReader()
    try {
      while (reader !== undefined) {
        const next = await reader.read().catch((error) => {
          signal?.throwIfAborted()
          throw unreachable(url, error)
        })
        if (next.done) return
        yield next.value
      }
    } finally {
      await reader?.cancel().catch(() => undefined)
    }
  }
  const upload = async (content: Content, type: string, { signal }: CallOptions = {}): Promise<AnswerOf<'blobs'>> => {
    let failure: { readonly error: unknown } | undefined
    const failed = (error: unknown) => {
      failure = { error }
    }
    const body: Body = streamed(content) ? streamOf(content, failed) : content
    try {
      return await json('blobs', 'cid', { signal, body, headers: { 'content-type': type } })
    } catch (error) {
      throw failure === undefined ? error : failure.error
    }
  }
  const jobText = (job: string) => ({ body: job, headers: { 'content-type': 'application/yaml' } })

  return {
    url,
    health: (asked) => json('health', 'nodeId', { ...asked }),
    node: (asked) => json('node', 'nodeId', { ...asked }),
    nodes: async (asked) => (await json('nodes', 'nodes', { ...asked })).nodes,
    peers: async (asked) => (await json('peers', 'peers', { ...asked })).peers,
    validate: (job, asked) => json('validate', 'specCid', { ...asked, ...jobText(job) }),
    plan: (job, asked) => json('plan', 'specCid', { ...asked, ...jobText(job) }),

    submit: async (job, { signal, key, wait } = {}) => {
      const { body, headers } = jobText(job)
      const once = async () => {
        const response = await open('submit', { signal, query: { wait }, headers: { ...headers, 'idempotency-key': key }, body })
        const answer = (await settled(signal, readJson(response, url, 'id'))) as AnswerOf<'submit'>
        return { job: answer, created: response.status === 201 }
      }
      // Without a key, a second try could be a second job.
      return key === undefined ? once() : patient(signal, once)
    },

    jobs: ({ signal, ...query } = {}) => json('jobs', 'jobs', { signal, query }),
    job: (id, { signal, wait } = {}) => json('job', 'id', { id, signal, query: { wait } }),
    finished: async (id, { signal } = {}) => {
      while (true) {
        const job = await patient(signal, () => json('job', 'id', { id, signal, query: { wait: 60 } }))
        if (!job.open) return job
      }
    },
    spec: async (id, { signal } = {}) =>
      (await settled(signal, readJson(await open('spec', { id, signal }), url, 'engine'))) as Awaited<ReturnType<ApiClient['spec']>>,
    shards: (id, { signal, ...query } = {}) => json('shards', 'shards', { id, signal, query }),

    async *events(id, { signal, after, follow } = {}) {
      const headers = (lastId: string | undefined) => ({ accept: 'text/event-stream', 'last-event-id': lastId })
      const from = (lastId: string | undefined) => open('events', { id, signal, query: { after, follow }, headers: headers(lastId) })
      for await (const { event, data } of resumedEvents({ url, open: from, tries: startTries(), signal })) {
        if (event === 'history') yield { type: 'history', item: data } as JobEvent
        else if (event === 'progress') yield { type: 'progress', progress: data } as JobEvent
      }
    },

    async *logs(id, { signal, shard, stream, follow, from } = {}) {
      const position = from && `${from.execution}:${from.stdout}:${from.stderr}`
      const reopen = (lastId: string | undefined) =>
        open('logs', { id, signal, query: { shard, stream, follow, from: position }, headers: { accept: 'text/event-stream', 'last-event-id': lastId } })
      for await (const { event, data } of resumedEvents({ url, open: reopen, tries: startTries(), signal }))
        if (event === 'log') yield chunkOf(data as LogEvent)
    },

    stop: async (id, { signal } = {}) => {
      await json('stop', 'id', { id, signal })
    },
    result: (id, { signal } = {}) => json('result', 'jobId', { id, signal }),

    resultFile: async (id, path, { signal, from = 0 } = {}) => {
      const response = await open('resultFile', { id, path, signal, headers: { range: from > 0 ? `bytes=${from}-` : undefined } })
      await settled(signal, requireType(response, url, 'application/octet-stream'))
      const whole = /\/(\d{1,16})$/.exec(response.headers.get('content-range') ?? '')?.[1] ?? response.headers.get('content-length')
      if (whole === null || from > 0 !== (response.status === 206)) {
        await response.body?.cancel().catch(() => undefined)
        throw new ApiError('not-skrei', `what answers at ${url} does not say which bytes it sends`)
      }
      return { size: Number(whole), content: bytes(response, signal) }
    },

    async *archive(id, { signal } = {}) {
      const response = await open('archive', { id, signal })
      await settled(signal, requireType(response, url, 'application/x-tar'))
      yield* bytes(response, signal)
    },

    addBlob: (content, asked) => upload(content, 'application/octet-stream', asked),

    addTree: async (files, asked) => {
      if (held(files)) return upload(tarBlob(files), 'application/x-tar', asked)
      const entries = async function* () {
        for await (const { path, size, content } of files) yield { path, size, content: () => chunksOf(content) }
      }
      return upload(tarArchive(entries()), 'application/x-tar', asked)
    },

    metrics: async ({ signal } = {}) => {
      const response = await open('metrics', { signal })
      await settled(signal, requireType(response, url, 'text/plain'))
      return settled(signal, readText(response, url))
    },
  }
}
