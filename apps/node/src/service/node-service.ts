import { ApiError, type NodeService } from '@skrei/api'
import { type JobSpec, specCid } from '@skrei/job-spec'
import { checkJob, type Scheduler, SchedulerError, type SchedulerErrorCode, SubmitError, schedulerErrors } from '@skrei/scheduler'
import type { Publisher } from '@skrei/storage'
import type { NodeConfig } from '../config/config-schema.ts'
import type { MadeNode } from '../node/make-node.ts'
import type { NodeLinks } from '../node/node-links.ts'
import { type JobFacts, refusedSubmission, requireReachable, requireSubmittable } from './job-check.ts'
import type { NodeMetrics } from './node-metrics.ts'

/** Ids whose submission has not been told apart yet. */
const mostMinted = 10_000

export interface NodeServiceFacts {
  readonly node: MadeNode
  readonly config: NodeConfig
  readonly version: string
  readonly startedAt: number
  readonly links: NodeLinks
  readonly metrics: NodeMetrics
  /** Ids that this process has made: a submission that ends with another id was known. */
  readonly jobIds: JobIds
  readonly draining: () => boolean
}

/** Makes job ids, and remembers whether one that comes back was just made. */
export interface JobIds {
  next(): string
  /** Whether the job of this id was made by the submission that asks; true once. */
  take(id: string): boolean
}

export const jobIds = (make: () => string): JobIds => {
  const minted = new Set<string>()
  return {
    next: () => {
      const id = make()
      minted.add(id)
      const [oldest] = minted
      if (minted.size > mostMinted && oldest !== undefined) minted.delete(oldest)
      return id
    },
    take: (id) => minted.delete(id),
  }
}

/** What the API offers, over the scheduler and the storage of one node. */
export const nodeService = (facts: NodeServiceFacts): NodeService => {
  const { node, config, version, links, metrics } = facts
  const { scheduler, ipfs } = node
  const self = scheduler.nodeId

  const jobFacts: JobFacts = { sources: node.sources, publishers: node.publishers.map(({ type }) => type) }

  const requireRequester = (): void => {
    if (!config.requester) throw new ApiError('not-requester', 'this node only computes: it takes no jobs')
  }

  const requireJob = (id: string): void => {
    if (scheduler.job(id) === undefined) throw new ApiError('job-not-found', `there is no job ${id}`)
  }

  const blobs = () => {
    if (ipfs === undefined) throw new ApiError('blobs-off', 'IPFS is off at this node (`ipfs: false`): it keeps no blobs')
    return ipfs
  }

  return {
    health: () => ({ status: facts.draining() ? 'draining' : 'ready', nodeId: self, version }),
    node: () => {
      const own = scheduler.nodes().find((announcement) => announcement.node === self)
      return {
        nodeId: self,
        network: config.network,
        version,
        startedAt: facts.startedAt,
        roles: [...(config.requester ? (['requester'] as const) : []), ...(config.compute ? (['compute'] as const) : [])],
        addresses: links.addresses(),
        engines: own?.engines ?? [],
        sources: node.sources.map(({ type }) => type),
        publishers: [...node.publishers.map(({ type }) => type), 'none'],
        labels: own?.labels ?? config.labels,
        standing: scheduler.standing(),
      }
    },
    nodes: () => scheduler.nodes(),
    peers: () => links.peers(),
    validate: async (spec) => {
      requireSubmittable(spec, Math.max(1, scheduler.nodes().length))
      await requireReachable(spec, jobFacts)
      return { specCid: specCid(spec), warnings: warningsOf(spec, scheduler) }
    },
    plan: async (spec, { signal }) => {
      requireRequester()
      await requireReachable(spec, jobFacts, { signal })
      return await orRefused(scheduler.plan(spec, { signal }))
    },
    submit: async (spec, { key }) => {
      requireRequester()
      // With a key it may be a job that was taken before, of which its submitter is still to learn: the scheduler says.
      if (facts.draining() && key === undefined) throw new ApiError('draining', 'this node ends, and takes no new jobs')
      await requireReachable(spec, jobFacts)
      const id = await orRefused(scheduler.submit(spec, key === undefined ? {} : { key }))
      return { id, created: facts.jobIds.take(id) }
    },
    jobs: (where) => {
      // It need not be there any more, but it was one.
      if (where.after !== undefined && !jobIdPattern.test(where.after)) throw new ApiError('bad-request', '`after` is not the id of a job')
      return scheduler.jobs({ ...where, newestFirst: true })
    },
    job: (id) => scheduler.job(id),
    spec: (id) => scheduler.spec(id),
    shards: (id, page) => scheduler.shards(id, page),
    finished: (id, { signal }) => orRefused(scheduler.finished(id, { signal })),
    history: (id, { follow = true, ...options }) => {
      requireJob(id)
      return streamed(follow ? scheduler.subscribe(id, options) : pastOf(scheduler, id, options))
    },
    progress: (id, listener) =>
      scheduler.watch((event) => {
        if (event.type !== 'progress' || event.job !== id) return
        const { shard, node: at, phase, fraction } = event
        listener({ shard, node: at, phase, ...(fraction !== undefined && { fraction }) })
      }),
    logs: (id, options) => {
      requireJob(id)
      return streamed(scheduler.logs(id, options))
    },
    stop: (id) => scheduler.cancel(id),
    result: (id) => {
      const head = scheduler.resultHead(id)
      if (head === undefined) return undefined
      const reference = scheduler.job(id)?.reference
      return { ...head, ...(reference !== undefined && { reference }) }
    },
    files: (id, { path, signal }) => {
      const { reference, publisher } = requireResult(id)
      return publisher.read(reference, { signal, ...(path !== undefined && { path }) })
    },
    addBlob: async (content, { signal }) => await blobs().add(content, { signal, maxBytes: config.api.blobBytes }),
    addTree: async (files, { signal }) => await blobs().addDirectory(files, { signal, maxBytes: config.api.blobBytes }),
    metrics: () => metrics.text(),
  }

  function requireResult(id: string): { readonly reference: Parameters<Publisher['read']>[0]; readonly publisher: Publisher } {
    const job = scheduler.job(id)
    if (job === undefined) throw new ApiError('job-not-found', `there is no job ${id}`)
    const reference = job.reference
    const publisher = reference && node.publisherOf(reference)
    if (reference === undefined || publisher === undefined) throw new ApiError('result-not-there', `job ${id} is ${job.state}, and has no published result`)
    return { reference, publisher }
  }
}

/** As `jobIds` makes them. */
const jobIdPattern = /^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/

/** What there is of a history, a page at a time. */
async function* pastOf(scheduler: Scheduler, id: string, { after = 0, signal }: { readonly after?: number; readonly signal: AbortSignal }) {
  for (let position = after; ; ) {
    signal.throwIfAborted()
    const items = scheduler.history(id, { after: position })
    yield* items
    const last = items.at(-1)
    if (last === undefined) return
    position = last.sequence
  }
}

/** Why this node could not run the job itself: another may. */
const warningsOf = (spec: JobSpec, scheduler: Scheduler) => {
  const own = scheduler.nodes().find(({ node }) => node === scheduler.nodeId)
  if (own === undefined) return []
  const { misfits } = checkJob(spec, { ...own, engines: own.engines.map(({ name }) => name) }, { nodes: Number.MAX_SAFE_INTEGER })
  return misfits.map(({ code, detail }) => ({ code, message: `this node could not run it: ${detail}` }))
}

/** What the scheduler says, in the API's words: its code, and an HTTP status where the API has no such code. */
const words: Readonly<Record<SchedulerErrorCode, { readonly code: string; readonly status?: number }>> = {
  'no-job': { code: 'job-not-found' },
  'no-shard': { code: 'no-shard' },
  'logs-gone': { code: 'logs-gone' },
  'logs-unavailable': { code: 'logs-unavailable', status: 503 },
  stopped: { code: 'draining' },
  'started-before': { code: 'node-fault' },
}

const explained = (error: unknown): unknown => {
  if (error instanceof SubmitError) return refusedSubmission(error)
  if (!(error instanceof SchedulerError)) return error
  const { code, status } = words[error.code]
  return new ApiError(code, error.message, { cause: error, ...(status !== undefined && { status, remedy: schedulerErrors[error.code].remedy }) })
}

const orRefused = async <T>(answer: Promise<T>): Promise<T> => {
  try {
    return await answer
  } catch (error) {
    throw explained(error)
  }
}

async function* streamed<T>(items: AsyncIterable<T>): AsyncGenerator<T> {
  try {
    yield* items
  } catch (error) {
    throw explained(error)
  }
}
