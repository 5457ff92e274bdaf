import * as z from 'zod'
import { explain, type KnownKeys, noteKnownKeys } from './explain.ts'
import { type JobSpec, jobSchema } from './job.ts'
import { formatPath, type Path, type ProblemCode } from './problem.ts'

export type CheckedSpec =
  | { readonly ok: true; readonly spec: JobSpec }
  | { readonly ok: false; readonly problem: { readonly code: ProblemCode; readonly message: string; readonly path: Path } }

/**
 * Checks a spec that did not come from {@link readJob}, as `readJob` would its file: quantities are numbers, and `publisher` is a list. Gives a copy that holds nothing else, or the
 * first thing that is wrong with it. Never throws.
 */
export const checkSpec = (spec: unknown): CheckedSpec => {
  const known: KnownKeys = new WeakMap()
  const options = { error: noteKnownKeys(known) }
  const refused = (issues: readonly z.core.$ZodIssue[], value: unknown): CheckedSpec => {
    const [problem] = explain(issues, value, known)
    const { code, message, path } = problem ?? { code: 'bad-value' as const, message: 'the job is not one that a job file could say', path: [] }
    // Nothing in a file is undefined.
    if (code === 'missing-key' && isThere(value, path))
      return { ok: false, problem: { code: 'wrong-type', message: `\`${formatPath(path)}\` is undefined: leave it out`, path } }
    return { ok: false, problem: { code, message: message.replace('the job file', 'the job'), path } }
  }
  try {
    // As its file would be, and read again: what can only be said in a program is found in either direction.
    const file = z.safeEncode(jobSchema, spec as JobSpec, options)
    if (!file.success) return refused(file.error.issues, spec)
    const read = jobSchema.safeParse(file.data, options)
    return read.success ? { ok: true, spec: read.data } : refused(read.error.issues, file.data)
  } catch (error) {
    return { ok: false, problem: { code: 'bad-value', message: `the job cannot be read: ${String(error)}`.slice(0, 1000), path: [] } }
  }
}

const isThere = (value: unknown, path: Path): boolean => {
  let at = value
  for (const key of path) {
    if (typeof at !== 'object' || at === null || !Object.hasOwn(at, key)) return false
    at = (at as Record<PropertyKey, unknown>)[key]
  }
  return true
}
