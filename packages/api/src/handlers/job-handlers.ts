import { setTimeout as later } from 'node:timers'
import { printJob } from '@skrei/job-spec'
import { ApiError } from '../api-error.ts'
import type { Call } from '../call.ts'
import { basePath } from '../endpoints.ts'
import { type ApiAnswer, jsonAnswer } from '../exchange.ts'
import { findJob } from '../find-job.ts'
import { readJobBody } from '../read-body.ts'
import type { Job } from '../schema/job.ts'

/** The job once it is final, or as it is after some seconds, or when the API closes. Never rejects: of a job that was accepted the caller is to learn its id. */
const settled = async ({ service, request, closing, fault }: Call<'submit' | 'job'>, job: Job, seconds: number | undefined): Promise<Job> => {
  if (!job.open || seconds === undefined || seconds === 0 || closing.aborted) return job
  const enough = new AbortController()
  const stop = () => enough.abort()
  const timer = later(stop, seconds * 1000)
  closing.addEventListener('abort', stop)
  request.signal.addEventListener('abort', stop)
  try {
    return await service.finished(job.id, { signal: enough.signal })
  } catch (error) {
    if (!enough.signal.aborted) fault(error)
    return service.job(job.id) ?? job
  } finally {
    clearTimeout(timer)
    closing.removeEventListener('abort', stop)
    request.signal.removeEventListener('abort', stop)
  }
}

export const jobHandlers = {
  validate: async (call: Call<'validate'>): Promise<ApiAnswer> => jsonAnswer(200, await call.service.validate(await readJobBody(call))),
  plan: async (call: Call<'plan'>): Promise<ApiAnswer> => jsonAnswer(200, await call.service.plan(await readJobBody(call), { signal: call.request.signal })),
  submit: async (call: Call<'submit'>): Promise<ApiAnswer> => {
    const { service, query, headers } = call
    const key = headers['idempotency-key']
    const spec = await readJobBody(call)
    const { id, created } = await service.submit(spec, key === undefined ? {} : { key })
    const job = await settled(call, findJob(service, id), query.wait)
    return jsonAnswer(created ? 201 : 200, job, { location: `${basePath}/jobs/${encodeURIComponent(id)}` })
  },
  jobs: ({ service, query: { limit, ...where } }: Call<'jobs'>): ApiAnswer => {
    const found = service.jobs({ ...where, limit: limit + 1 })
    const jobs = found.slice(0, limit)
    const last = jobs.at(-1)
    return jsonAnswer(200, { jobs, ...(found.length > limit && last !== undefined && { next: last.id }) })
  },
  job: async (call: Call<'job'>): Promise<ApiAnswer> => jsonAnswer(200, await settled(call, findJob(call.service, call.id), call.query.wait)),
  spec: ({ service, id }: Call<'spec'>): ApiAnswer => {
    const job = findJob(service, id)
    const spec = service.spec(job.id)
    if (spec === undefined) throw new ApiError('job-not-found', `the spec of job ${job.id} is forgotten`)
    return { status: 200, headers: { 'content-type': 'application/json' }, body: printJob(spec, 'json') }
  },
  shards: ({ service, id, query: { limit, ...page } }: Call<'shards'>): ApiAnswer => {
    const found = service.shards(findJob(service, id).id, { ...page, limit: limit + 1 })
    const shards = found.slice(0, limit)
    const last = shards.at(-1)
    return jsonAnswer(200, { shards, ...(found.length > limit && last !== undefined && { next: last.index }) })
  },
  stop: async ({ service, id }: Call<'stop'>): Promise<ApiAnswer> => {
    const job = findJob(service, id)
    await service.stop(job.id)
    return jsonAnswer(202, service.job(job.id) ?? job)
  },
}
