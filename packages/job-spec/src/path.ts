import * as z from 'zod'

const guestPathPattern = /^(\/(?!\.{1,2}(\/|$))[^/\0]+)+$/

const climbs = (path: string): boolean => path.split('/').includes('..')

/** Says what is wrong with a path; `name` is what people call it. */
const pathSchema = (name: string, pattern: RegExp, expected: string, maxLength: number) =>
  z
    .string()
    .min(1)
    .max(maxLength)
    .superRefine((path, context) => {
      if (path === '' || pattern.test(path)) return
      context.addIssue({
        code: 'custom',
        input: path,
        message: `expected ${expected}`,
        params: { code: 'bad-path', ...(climbs(path) && { note: `${name} that escapes its directory` }) },
      })
    })
    .meta({ pattern: pattern.source })

/** An absolute, normal path inside the sandbox, below its root. `name` is for messages: `an input path`. */
export const guestPath = (name: string) =>
  pathSchema(name, guestPathPattern, 'an absolute path below / without "." or ".." segments and without a trailing slash', 1024)

/** An absolute, normal path inside the sandbox, below its root. */
export const guestPathSchema = guestPath('a path')

/** A path of the host, absolute or relative to the job file. Which directories may be read is the node's policy. */
export const hostPathSchema = pathSchema(
  'a source path',
  /^(?!(.*\/)?\.\.(\/|$))[^\0]+$/s,
  'a path relative to the job file, or an absolute one, without ".." segments',
  4096,
)

/** A directory below an input: relative, normal, `/`-separated. */
export const subPathSchema = pathSchema(
  'a base path',
  /^(?!\.{1,2}(\/|$))[^/\0]+(\/(?!\.{1,2}(\/|$))[^/\0]+)*$/,
  'a relative path such as data/2026, without "." or ".." segments and without a trailing slash',
  1024,
)

/** Whether `path` is `directory` or lies below it. */
export const isWithin = (path: string, directory: string): boolean => path === directory || path.startsWith(`${directory}/`)
