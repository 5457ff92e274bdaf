import { ApiError } from '../api-error.ts'
import { begun } from '../begun.ts'
import type { Call } from '../call.ts'
import { errorBody } from '../error-body.ts'
import { type ApiAnswer, jsonAnswer } from '../exchange.ts'
import { findJob } from '../find-job.ts'
import type { ResultFile } from '../node-service.ts'
import { tarArchive } from '../tar-writer.ts'

/** Results are somebody's bytes: no browser is to make a page of them. */
const headers = {
  'content-type': 'application/octet-stream',
  'content-disposition': 'attachment',
  'content-security-policy': "default-src 'none'; sandbox",
  'accept-ranges': 'bytes',
}

interface Range {
  readonly from: number
  /** Exclusive. */
  readonly to: number
}

/** The one range that was asked for, if it is one that we serve: others are passed over, as HTTP has it. */
const readRange = (text: string | undefined, size: number): Range | 'beyond' | undefined => {
  const match = /^bytes=(\d{0,15})-(\d{0,15})$/.exec(text?.trim() ?? '')
  if (match === null || (match[1] === '' && match[2] === '')) return undefined
  const [, first = '', last = ''] = match
  const from = first === '' ? Math.max(0, size - Number(last)) : Number(first)
  const to = first === '' || last === '' ? size : Math.min(size, Number(last) + 1)
  if (first !== '' && last !== '' && Number(last) < from) return undefined
  return from >= size ? 'beyond' : { from, to }
}

const cut = async function* (content: AsyncIterable<Uint8Array>, bytes: number): AsyncGenerator<Uint8Array, void, undefined> {
  let left = bytes
  if (left === 0) return
  for await (const chunk of content) {
    yield chunk.length > left ? chunk.subarray(0, left) : chunk
    left -= chunk.length
    if (left <= 0) return
  }
  throw new Error(`the content ended ${left} bytes too early`)
}

const findFile = async (service: Call<'resultFile'>['service'], id: string, path: string, signal: AbortSignal): Promise<ResultFile> => {
  const plain =
    Buffer.byteLength(path) <= 4096 && !path.includes('\0') && path.split('/').every((segment) => segment !== '' && segment !== '.' && segment !== '..')
  if (plain)
    for await (const file of service.files(id, { path, signal })) {
      if (file.path === path) return file
      // It is a directory: of what is below it, there may be a million.
      break
    }
  throw new ApiError('file-not-found', `the result of job ${id} has no file ${JSON.stringify(path.slice(0, 200))}`)
}

export const resultHandlers = {
  result: ({ service, id }: Call<'result'>): ApiAnswer => {
    const job = findJob(service, id)
    const result = service.result(job.id)
    if (result === undefined) throw new ApiError('result-not-there', `job ${job.id} has no result`)
    return jsonAnswer(200, result)
  },

  resultFile: async ({ service, request, streams, id, path, headers: { range: asked } }: Call<'resultFile'>): Promise<ApiAnswer> => {
    const job = findJob(service, id)
    const ended = streams.open()
    try {
      const { signal } = request
      const file = await findFile(service, job.id, path, signal)
      const range = readRange(asked, file.size)
      if (range === 'beyond') {
        ended()
        return jsonAnswer(416, errorBody(new ApiError('range-not-satisfiable', `the file has ${file.size} bytes`)), { 'content-range': `bytes */${file.size}` })
      }
      const { from, to } = range ?? { from: 0, to: file.size }
      return {
        status: range === undefined ? 200 : 206,
        headers: {
          ...headers,
          'content-length': String(to - from),
          ...(range !== undefined && { 'content-range': `bytes ${from}-${to - 1}/${file.size}` }),
        },
        body: await begun(cut(file.content({ from, signal }), to - from)),
        ended,
      }
    } catch (error) {
      ended()
      throw error
    }
  },

  archive: async ({ service, request: { signal }, streams, id }: Call<'archive'>): Promise<ApiAnswer> => {
    const job = findJob(service, id)
    const ended = streams.open()
    const entries = async function* () {
      for await (const file of service.files(job.id, { signal })) yield { path: file.path, size: file.size, content: () => file.content({ signal }) }
    }
    try {
      return {
        status: 200,
        headers: { 'content-type': 'application/x-tar', 'content-disposition': `attachment; filename="${job.id.replaceAll(/[^\w.-]/g, '_')}.tar"` },
        body: await begun(tarArchive(entries())),
        ended,
      }
    } catch (error) {
      ended()
      throw error
    }
  },
}
