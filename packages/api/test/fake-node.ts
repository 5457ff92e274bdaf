import { type JobSpec, specCid } from '@skrei/job-spec'
import type { Blob, HistoryItem, Job, LogChunk, NodeService, Progress, ResultFile, TreeFile } from '../src/index.ts'
import { ApiError } from '../src/index.ts'

/** A file of a result, with what it holds. */
export const resultFile = (path: string, bytes: Uint8Array): ResultFile => ({
  path,
  size: bytes.length,
  content: async function* ({ from = 0 }) {
    yield bytes.subarray(from)
  },
})

interface Held {
  job: Job
  readonly spec: JobSpec
  readonly history: HistoryItem[]
  readonly listeners: Set<(progress: Progress) => void>
}

export interface FakeNode {
  readonly service: NodeService
  /** Changes what the service does. */
  readonly override: (change: Partial<NodeService>) => void
  /** Adds an entry to a job's history. */
  readonly tell: (id: string, to: string) => void
  readonly hint: (id: string, progress: Progress) => void
  /** Ends a job. */
  readonly end: (id: string, state?: 'completed' | 'failed' | 'cancelled') => void
  readonly logs: LogChunk[]
  readonly files: ResultFile[]
  readonly kept: { readonly path: string; readonly bytes: Uint8Array }[]
  /** How many listen to progress, or read a history, now. */
  readonly listening: () => number
}

const collected = async (content: AsyncIterable<Uint8Array>): Promise<Uint8Array> => {
  const chunks: Uint8Array[] = []
  for await (const chunk of content) chunks.push(chunk)
  return Buffer.concat(chunks)
}

/** A node in memory: jobs stay open until the test ends them. */
export const fakeNode = (): FakeNode => {
  const jobs = new Map<string, Held>()
  const keys = new Map<string, { readonly cid: string; readonly id: string }>()
  const logs: LogChunk[] = []
  const files: ResultFile[] = []
  const kept: { path: string; bytes: Uint8Array }[] = []
  const changed = new EventTarget()
  let sequence = 0
  let reading = 0

  const held = (id: string): Held => {
    const found = jobs.get(id)
    if (found === undefined) throw new Error(`the API asked for job ${id}, which is not there`)
    return found
  }
  const change = (signal: AbortSignal): Promise<void> =>
    new Promise((resolve, reject) => {
      signal.throwIfAborted()
      const done = () => {
        signal.removeEventListener('abort', stop)
        resolve()
      }
      const stop = () => {
        changed.removeEventListener('change', done)
        reject(signal.reason)
      }
      changed.addEventListener('change', done, { once: true })
      signal.addEventListener('abort', stop, { once: true })
    })
  const tell = (id: string, to: string) => {
    sequence += 1
    held(id).history.push({ sequence, at: sequence, kind: 'job', id, event: 'test', actor: 'user', to })
    changed.dispatchEvent(new Event('change'))
  }
  const blob = (name: string, bytes: number): Blob => ({ cid: `cid-of-${name}`, bytes })

  const service: NodeService = {
    health: () => ({ status: 'ready', nodeId: 'node-1', version: '1.2.3' }),
    node: () => ({
      nodeId: 'node-1',
      network: 'test',
      version: '1.2.3',
      startedAt: 1,
      roles: ['requester'],
      addresses: [],
      engines: [{ name: 'noop', version: '1' }],
      sources: ['inline'],
      publishers: ['none'],
      labels: {},
      standing: { jobs: { open: jobs.size } },
    }),
    nodes: () => [],
    peers: () => [{ node: 'node-2', connected: true, addresses: ['/ip4/127.0.0.1/tcp/1'] }],
    validate: async (spec) => ({ specCid: specCid(spec), warnings: [] }),
    plan: async (spec) => ({ name: spec.name ?? 'job', specCid: specCid(spec), outcome: 'runs', known: 1, nodes: [], first: [] }),
    submit: async (spec, { key }) => {
      const cid = specCid(spec)
      const known = key === undefined ? undefined : keys.get(key)
      if (known !== undefined) {
        if (known.cid !== cid) throw new ApiError('key-reused', `the key ${key} belongs to job ${known.id}`)
        return { id: known.id, created: false }
      }
      const id = `job-${String(jobs.size + 1).padStart(4, '0')}`
      jobs.set(id, {
        job: { id, name: spec.name ?? 'job', specCid: cid, state: 'running', open: true, submittedAt: jobs.size },
        spec,
        history: [],
        listeners: new Set(),
      })
      if (key !== undefined) keys.set(key, { cid, id })
      tell(id, 'running')
      return { id, created: true }
    },
    jobs: ({ after, limit, state, prefix = '' }) =>
      [...jobs.values()]
        .map(({ job }) => job)
        .reverse()
        .filter((job) => (after === undefined || job.id < after) && (state === undefined || job.state === state) && job.id.startsWith(prefix))
        .slice(0, limit),
    job: (id) => jobs.get(id)?.job,
    spec: (id) => jobs.get(id)?.spec,
    shards: (id, { after = -1, limit }) => {
      held(id)
      return [0, 1, 2]
        .filter((index) => index > after)
        .slice(0, limit)
        .map((index) => ({ index, state: 'running', open: true, executions: [] }))
    },
    finished: async (id, { signal }) => {
      while (held(id).job.open) await change(signal)
      return held(id).job
    },
    history: async function* (id, { after = 0, follow = true, signal }) {
      reading += 1
      try {
        let last = after
        while (true) {
          const { history, job } = held(id)
          const next = history.find((item) => item.sequence > last)
          if (next !== undefined) {
            last = next.sequence
            yield next
          } else if (!job.open || !follow) return
          else await change(signal)
        }
      } finally {
        reading -= 1
      }
    },
    progress: (id, listener) => {
      const { listeners } = held(id)
      listeners.add(listener)
      return { [Symbol.dispose]: () => void listeners.delete(listener) }
    },
    logs: async function* (_, { stream, from, follow, signal }) {
      let next = 0
      while (true) {
        const chunk = logs[next]
        if (chunk === undefined) {
          if (follow !== true || jobs.values().every(({ job }) => !job.open)) return
          await change(signal)
          continue
        }
        next += 1
        const had = from?.execution === chunk.execution ? from[chunk.stream] : 0
        if ((stream === undefined || chunk.stream === stream) && chunk.offset >= had) yield chunk
      }
    },
    stop: async (id) => end(id, 'cancelled'),
    result: (id) => {
      const { job } = held(id)
      return job.open ? undefined : { jobId: id, name: job.name, specCid: job.specCid, state: job.state, limits: { stdout: 1, stderr: 1 } }
    },
    files: async function* (id, { path }) {
      if (held(id).job.open) throw new ApiError('result-not-there', 'the job is not final')
      for (const file of files) if (path === undefined || file.path === path || file.path.startsWith(`${path}/`)) yield file
    },
    addBlob: async (content) => {
      const bytes = await collected(content)
      kept.push({ path: '', bytes })
      return blob('file', bytes.length)
    },
    addTree: async (tree: AsyncIterable<TreeFile>) => {
      let total = 0
      for await (const { path, size, content } of tree) {
        const bytes = await collected(content)
        if (bytes.length !== size) throw new Error(`${path} has ${bytes.length} bytes, not ${size}`)
        kept.push({ path, bytes })
        total += size
      }
      return blob('tree', total)
    },
    metrics: async () => '# TYPE up gauge\nup 1\n',
  }
  const end: FakeNode['end'] = (id, state = 'completed') => {
    const one = held(id)
    one.job = { ...one.job, state, open: false }
    tell(id, state)
  }
  const changes: Partial<NodeService> = {}
  return {
    service: new Proxy(service, { get: (_, name) => Reflect.get(Object.hasOwn(changes, name) ? changes : service, name) }),
    override: (change) => void Object.assign(changes, change),
    tell,
    hint: (id, progress) => {
      for (const listener of held(id).listeners) listener(progress)
    },
    end,
    logs,
    files,
    kept,
    listening: () => reading + jobs.values().reduce((sum, { listeners }) => sum + listeners.size, 0),
  }
}
