import * as z from 'zod'
import type { Path, ProblemCode } from './problem.ts'

/** One violation of a rule; `path` is relative to the object that has the rule, `code` is `conflict` unless told otherwise. */
export interface Violation {
  readonly path: Path
  readonly message: string
  readonly code?: ProblemCode
}

/**
 * A rule between fields of one object. It runs even if other fields are wrong, so that all problems come at once, but only if what it `reads` is right.
 */
export const rule = <T>(reads: readonly string[], violations: (value: T) => Iterable<Violation>): z.core.$ZodCheck<T> =>
  z.superRefine<T>(
    (value, context) => {
      for (const { path, message, code = 'conflict' } of violations(value)) context.addIssue({ code: 'custom', path: [...path], message, params: { code } })
    },
    {
      when: ({ issues }) =>
        issues.every(({ code, path }) =>
          path === undefined || path.length === 0 ? code === 'unrecognized_keys' || code === 'custom' : !reads.includes(String(path[0])),
        ),
    },
  )
