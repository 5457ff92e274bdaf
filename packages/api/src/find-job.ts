import { ApiError } from './api-error.ts'
import type { NodeService } from './node-service.ts'
import type { Job } from './schema/job.ts'

const counted = 100
const shortestPrefix = 4
/** So many of those that are meant are named. */
const named = 3

/**
 * The job of an id, or the only one whose id begins so.
 *
 * @throws ApiError `bad-request`, `job-not-found`, `id-ambiguous`
 */
export const findJob = (service: NodeService, id: string): Job => {
  if (!/^[\x21-\x7e]{1,256}$/.test(id)) throw new ApiError('bad-request', 'a job id is made of 1 to 256 printable ASCII characters without blanks')
  const job = service.job(id)
  if (job !== undefined) return job
  const found = id.length < shortestPrefix ? [] : service.jobs({ limit: counted + 1, prefix: id })
  const [only] = found
  if (only === undefined) {
    const short = id.length < shortestPrefix ? `; the beginning of an id has at least ${shortestPrefix} characters` : ''
    throw new ApiError('job-not-found', `there is no job ${JSON.stringify(id)}${short}`)
  }
  if (found.length > 1) {
    const count = found.length > counted ? `more than ${counted}` : String(found.length)
    const candidates = `${found
      .slice(0, named)
      .map((job) => job.id)
      .join(', ')}${found.length > named ? ', …' : ''}`
    throw new ApiError('id-ambiguous', `${count} jobs have an id that begins with ${JSON.stringify(id)}: ${candidates}`)
  }
  return only
}
