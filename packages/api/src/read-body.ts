import { type JobSpec, problems, readJob } from '@skrei/job-spec'
import { ApiError } from './api-error.ts'
import type { Call } from './call.ts'
import type { ApiRequest } from './exchange.ts'
import { maxJobBytes } from './limits.ts'

const mediaType = (request: ApiRequest): string => (request.header('content-type') ?? '').split(';', 1)[0]?.trim().toLowerCase() ?? ''

/** Which of `types` the body is said to be. @throws ApiError `unsupported-media-type` */
export const bodyType = <T extends string>(request: ApiRequest, types: readonly T[]): T => {
  const given = mediaType(request)
  const found = types.find((type) => type === given)
  if (found === undefined)
    throw new ApiError(
      'unsupported-media-type',
      `the Content-Type is ${given === '' ? 'missing' : JSON.stringify(given.slice(0, 60))}, expected ${types.join(' or ')}`,
    )
  return found
}

const tooLarge = (limit: number): ApiError => new ApiError('body-too-large', `the body is larger than ${limit} bytes`)

/**
 * The body, no larger than `limit` bytes, and with a `silence` none that brings nothing for so many milliseconds.
 *
 * @throws ApiError `body-too-large`, `bad-request`
 */
export async function* boundedBody(request: ApiRequest, limit: number, silence?: number): AsyncGenerator<Uint8Array, void, undefined> {
  const announced = Number(request.header('content-length') ?? 0)
  if (announced > limit) throw tooLarge(limit)
  const source = request.body[Symbol.asyncIterator]()
  let bytes = 0
  try {
    while (true) {
      const next = await (silence === undefined ? source.next() : within(source.next(), silence))
      if (next.done === true) return
      bytes += next.value.length
      if (bytes > limit) throw tooLarge(limit)
      yield next.value
    }
  } finally {
    // Not waited for: one that brings nothing does not end either.
    source.return?.()?.catch(() => undefined)
  }
}

const within = <T>(promise: Promise<T>, milliseconds: number): Promise<T> =>
  new Promise((resolve, reject) => {
    const timer = setTimeout(() => reject(new ApiError('bad-request', `the body did not come within ${milliseconds} ms`)), milliseconds)
    promise.then(
      (value) => {
        clearTimeout(timer)
        resolve(value)
      },
      (error) => {
        clearTimeout(timer)
        reject(error)
      },
    )
  })

const collect = async (body: AsyncIterable<Uint8Array>, taken: (bytes: number) => void): Promise<Uint8Array> => {
  const chunks: Uint8Array[] = []
  for await (const chunk of body) {
    taken(chunk.length)
    chunks.push(chunk)
  }
  const [only] = chunks
  return chunks.length === 1 && only !== undefined ? only : Buffer.concat(chunks)
}

const jobTypes = ['application/yaml', 'application/x-yaml', 'text/yaml', 'application/json'] as const
const decoder = new TextDecoder('utf-8', { fatal: true })

/**
 * Reads the job file in the body.
 *
 * @throws ApiError `unsupported-media-type`, `body-too-large`, `too-many-requests`, `bad-request`; or with status 422, the code of the first problem, its place, and all `problems`
 */
export const readJobBody = async ({ request, limits, bodies }: Pick<Call<'submit'>, 'request' | 'limits' | 'bodies'>): Promise<JobSpec> => {
  const format = bodyType(request, jobTypes) === 'application/json' ? 'json' : 'yaml'
  let held = 0
  const taken = (bytes: number) => {
    bodies.take(bytes)
    held += bytes
  }
  try {
    // All of it in that time: it is small.
    return readText(await within(collect(boundedBody(request, maxJobBytes), taken), limits.bodySilence), format)
  } finally {
    bodies.give(held)
  }
}

const readText = (bytes: Uint8Array, format: 'json' | 'yaml'): JobSpec => {
  let text: string
  try {
    text = decoder.decode(bytes)
  } catch {
    throw new ApiError('bad-request', 'the job file is not UTF-8')
  }
  const read = readJob(text, { file: `job.${format}`, format })
  if (read.ok) return read.spec
  const found = read.problems.map(({ code, message, file, line, column, path }) => ({
    code,
    message,
    remedy: problems[code].remedy,
    file,
    line,
    column,
    ...(path !== '' && { path }),
  }))
  const [first = { code: 'job-invalid', message: 'the job file cannot be read' }] = found
  const { code, message, ...place } = first
  throw new ApiError(code, message, { ...place, status: 422, problems: found })
}
