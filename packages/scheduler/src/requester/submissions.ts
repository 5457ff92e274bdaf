import type { Row, StateStore } from '@skrei/state-store'
import { requireJobId } from '../check-options.ts'
import type { KernelEvent } from '../kernel/event.ts'
import type { JobContext } from '../machines/job.ts'
import { SubmitError } from '../submit-error.ts'
import { planWithoutInputs } from './role.ts'
import { type KnownJob, type Specs, specRow } from './specs.ts'

export interface SubmissionsWorld {
  readonly store: StateStore
  readonly specs: Pick<Specs, 'keep'>
  readonly submit: (events: readonly KernelEvent[]) => Promise<void>
  /** The option `jobId`. */
  readonly jobId: () => string
  readonly newJob: (id: string, job: KnownJob) => JobContext
  /** Throws the `SubmitError` of a job that is not accepted now. */
  readonly requireAcceptable: (job: KnownJob) => void
  /** Whether this job broke the node, told once. */
  readonly wasBroken: (id: string) => boolean
}

/** How jobs come into the store: each under an id of its own, and under a key of its submitter once. */
export interface Submissions {
  /** Returns the job's id once it is durable; with a key that is known, that of its job. Throws a `SubmitError`. */
  submit(job: KnownJob, key: string | undefined): Promise<string>
}

const longestKey = 256

/** Written with its job, and forgotten with it. */
const keyRow = (key: string, jobId: string, specCid: string): Row => ({
  kind: 'key',
  id: key,
  parent: jobId,
  state: 'key',
  open: false,
  version: 1,
  data: { specCid },
})

export const createSubmissions = (world: SubmissionsWorld): Submissions => {
  const { store } = world
  /** What is not durable yet: jobs, and whoever waits for a key. */
  const ids = new Set<string>()
  const keys = new Map<string, Promise<unknown>>()

  const knownAs = (key: string, { specCid }: KnownJob): string | undefined => {
    const row = store.read((reader) => reader.get('key', key))
    if (row === undefined) return undefined
    if ((row.data as { readonly specCid?: unknown }).specCid !== specCid)
      throw new SubmitError('key-reused', `job ${row.parent} was submitted with this key, and another spec: each job needs a key of its own`)
    return row.parent
  }

  const accept = async (job: KnownJob, key: string | undefined): Promise<string> => {
    const isTaken = (given: string): boolean => ids.has(given) || store.read((reader) => reader.get('job', given)) !== undefined
    const id = requireJobId(world.jobId(), isTaken)
    ids.add(id)
    world.specs.keep(id, job)
    try {
      const { planned, records = [] } = (await planWithoutInputs(id, job.resolved)) ?? {}
      const event = { type: 'submit', context: world.newJob(id, job), ...(planned && { planned }) }
      const own = [specRow(id, job.spec), ...(key === undefined ? [] : [keyRow(key, id, job.specCid)])]
      await world.submit([{ kind: 'job', id, event, actor: 'user', records: [...own, ...records] }])
    } finally {
      ids.delete(id)
    }
    if (world.wasBroken(id)) throw new SubmitError('job-invalid', 'the job broke the node, whose log says why')
    return id
  }

  const acceptOnce = async (job: KnownJob, key: string): Promise<string> => {
    requireKey(key)
    // However the one before it ends, the store says what came of it.
    for (let before = keys.get(key); before !== undefined; before = keys.get(key)) await before.catch(() => {})
    const known = knownAs(key, job)
    if (known !== undefined) return known
    world.requireAcceptable(job)
    const accepting = accept(job, key)
    keys.set(key, accepting)
    try {
      return await accepting
    } finally {
      keys.delete(key)
    }
  }

  return {
    submit: async (job, key) => {
      if (key !== undefined) return await acceptOnce(job, key)
      world.requireAcceptable(job)
      return await accept(job, undefined)
    },
  }
}

const requireKey = (key: unknown): void => {
  if (typeof key === 'string' && key.length > 0 && key.length <= longestKey && key.isWellFormed() && !key.includes('\0')) return
  throw new SubmitError('key-invalid', `a key has 1 to ${longestKey} characters of well-formed Unicode without NUL`)
}
