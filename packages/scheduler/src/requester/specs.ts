import { checkSpec, encodePlain, formatPath, type JobSpec, notBuilt, type Path, type ResolvedJob, resolve, specCid, type Task, taskOf } from '@skrei/job-spec'
import type { Data, Reader, Row } from '@skrei/state-store'
import { forgetOldest } from '../forget-oldest.ts'
import { SubmitError } from '../submit-error.ts'

export interface KnownJob {
  readonly spec: JobSpec
  readonly resolved: ResolvedJob
  readonly specCid: string
  readonly task: Task
}

/** A job's spec is a row of its own, written once: a job's counters change often, its spec never. */
export const specRow = (jobId: string, spec: JobSpec): Row => ({
  kind: 'spec',
  id: jobId,
  state: 'spec',
  open: false,
  version: 1,
  data: spec as unknown as Data,
})

export interface Specs {
  /** Throws where the job has no spec: then it was never accepted. */
  get(reader: Reader, jobId: string): KnownJob
  /** Of a job that somebody hands in: whatever a program made of it. Throws a `SubmitError` (`job-invalid`) where no job file could say so. */
  resolve(spec: JobSpec): KnownJob
  /** What `get` would read, of a job that is accepted now. */
  keep(jobId: string, job: KnownJob): void
}

const kept = 256
/** Of what was submitted last, as it was written: who submits one job submits many like it. */
const keptTexts = 16
/** A longer spec is read anew each time. */
const longestText = 65_536

/** Specs as read from the store, the latest few kept with what follows from them. */
export const createSpecs = (): Specs => {
  const known = new Map<string, KnownJob>()
  const know = (spec: JobSpec): KnownJob => {
    const resolved = resolve(spec)
    const cid = specCid(spec)
    return { spec, resolved, specCid: cid, task: taskOf(resolved, cid) }
  }
  const same = new Map<string, KnownJob>()
  return {
    resolve: (spec) => {
      // Only what is plain data through and through has such bytes, and the same ones only where it says the same.
      const bytes = encodePlain(spec)
      if (bytes === undefined || bytes.length > longestText) return know(validSpec(spec))
      const text = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength).toString('latin1')
      const before = same.get(text)
      if (before) return before
      const job = know(validSpec(spec))
      same.set(text, job)
      forgetOldest(same, keptTexts)
      return job
    },
    keep: (jobId, job) => {
      known.set(jobId, job)
      forgetOldest(known, kept)
    },
    get: (reader, jobId) => {
      const cached = known.get(jobId)
      if (cached) return cached
      const row = reader.get('spec', jobId)
      if (row === undefined) throw new Error(`no spec of job ${jobId}`)
      const job = know(row.data as unknown as JobSpec)
      known.set(jobId, job)
      forgetOldest(known, kept)
      return job
    },
  }
}

const validSpec = (spec: JobSpec): JobSpec => {
  const checked = checkSpec(spec)
  if (!checked.ok) throw new SubmitError('job-invalid', checked.problem.message, shown(checked.problem.path))
  const [missing] = notBuilt(checked.spec)
  if (missing) throw new SubmitError('not-built', `${formatPath(missing.path)} is not built yet: ${missing.reason}`, shown(missing.path))
  // What an extension's fields hold is still its caller's, who may change it: here it is remembered as what was said.
  return structuredClone(checked.spec)
}

const shown = (path: Path): readonly (string | number)[] => path.filter((part) => typeof part !== 'symbol')
