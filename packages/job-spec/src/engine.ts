import * as z from 'zod'
import { guestPath, guestPathSchema } from './path.ts'
import { durationSchema } from './quantity.ts'
import { sourceSchema } from './source.ts'

export { guestPathSchema }

/** Text that can be an argument or the value of an environment variable: these end at a NUL. */
export const argumentSchema = z
  .string()
  .max(131_072)
  .refine((text) => !text.includes('\0'), 'expected text without NUL characters')

const args = z.array(argumentSchema).max(4096)

export const wasmEngineSchema = z
  .strictObject({
    type: z.literal('wasm').meta({ title: 'Type', description: 'A WebAssembly module for WASI preview 1.' }),
    module: sourceSchema.meta({ title: 'Module', description: 'Where the module comes from.' }),
    args: args.meta({ title: 'Arguments', description: 'Arguments after the program name.' }).exactOptional(),
    stdin: z
      .union(
        [z.string(), z.strictObject({ path: guestPath('a stdin path').meta({ title: 'Path', description: 'A file at or below the path of an input.' }) })],
        { error: 'expected text, or {path: …} of a file among the inputs' },
      )
      .meta({ title: 'Standard input', description: 'The text itself, or a file among the inputs. The default is empty.' })
      .exactOptional(),
    imports: z
      .record(z.string().min(1).max(256), sourceSchema)
      .meta({ title: 'Imports', description: 'Further modules, by the name under which the module imports them.' })
      .exactOptional(),
    profile: z.enum(['deterministic', 'fast']).meta({ title: 'Profile', description: 'How strictly the same result is kept across machines.' }).exactOptional(),
    fuel: z.int().positive().meta({ title: 'Fuel', description: 'Bound on the instructions that the module executes.' }).exactOptional(),
  })
  .meta({ title: 'WebAssembly engine' })

export const dockerEngineSchema = z
  .strictObject({
    type: z.literal('docker').meta({ title: 'Type', description: 'A container image, run by a Docker engine.' }),
    image: z
      .string()
      .min(1)
      .max(512)
      .regex(/^[^\s\0]+$/, 'expected an image reference without spaces')
      .meta({ title: 'Image', description: 'The image, as in `docker run`; pin it by digest for the same result every time.' }),
    entrypoint: args.meta({ title: 'Entrypoint', description: "Replaces the image's entrypoint." }).exactOptional(),
    args: args.meta({ title: 'Arguments', description: "Replaces the image's command." }).exactOptional(),
    workingDirectory: guestPath('a working directory').meta({ title: 'Working directory', description: 'Where the program starts.' }).exactOptional(),
    user: z
      .string()
      .min(1)
      .max(64)
      .regex(/^[A-Za-z0-9_][A-Za-z0-9_.-]*(:[A-Za-z0-9_][A-Za-z0-9_.-]*)?$/, 'expected a user, or user:group')
      .meta({ title: 'User', description: 'User or user:group inside the container.' })
      .exactOptional(),
    pull: z.enum(['always', 'missing', 'never']).meta({ title: 'Pull', description: 'When the image is pulled.' }).exactOptional(),
  })
  .meta({ title: 'Docker engine' })

/** Computes nothing: waits, writes what it is told to, exits as it is told to. For tests, simulations and measuring the network itself. */
export const noopEngineSchema = z
  .strictObject({
    type: z.literal('noop').meta({ title: 'Type', description: 'Computes nothing: for tests and for measuring the network itself.' }),
    duration: durationSchema.meta({ title: 'Duration', description: 'How long the execution takes.' }).exactOptional(),
    exit: z.int().min(0).max(255).meta({ title: 'Exit code', description: 'The exit code. The default is 0.' }).exactOptional(),
    stdout: z.string().meta({ title: 'Standard output', description: 'What is written to standard output.' }).exactOptional(),
    stderr: z.string().meta({ title: 'Standard error', description: 'What is written to standard error.' }).exactOptional(),
    files: z.record(guestPathSchema, z.string()).meta({ title: 'Files', description: 'Files to write, by absolute path in the sandbox.' }).exactOptional(),
  })
  .meta({ title: 'No-op engine' })

const maxDepth = 32

/** The path to the first part of a value that is not plain JSON, with what it should be. */
const notJson = (value: unknown, depth = 0): { readonly path: PropertyKey[]; readonly expected: string } | undefined => {
  if (depth > maxDepth) return { path: [], expected: `at most ${maxDepth} levels` }
  if (value === null || typeof value === 'boolean') return undefined
  if (typeof value === 'string')
    return value.isWellFormed() && !value.startsWith('\ufeff') ? undefined : { path: [], expected: 'well-formed Unicode text without a byte order mark' }
  if (typeof value === 'number')
    return Number.isFinite(value) && (Number.isSafeInteger(value) || !Number.isInteger(value))
      ? undefined
      : { path: [], expected: `a number up to ${Number.MAX_SAFE_INTEGER}` }
  const prototype: unknown = typeof value === 'object' ? Object.getPrototypeOf(value) : undefined
  if (prototype === undefined || (!Array.isArray(value) && prototype !== Object.prototype && prototype !== null)) return { path: [], expected: 'plain JSON' }
  for (const [key, item] of Array.isArray(value) ? value.entries() : Object.entries(value as object)) {
    const wrong =
      key === '__proto__' || !String(key).isWellFormed() || String(key).startsWith('\ufeff') ? { path: [], expected: 'another key' } : notJson(item, depth + 1)
    if (wrong) return { path: [key, ...wrong.path], expected: wrong.expected }
  }
  return undefined
}

/** An engine of somebody else's (`acme.dev/toy`): opaque JSON here, checked by its driver's `assess`. */
export const extensionEngineSchema = z
  .looseObject({
    type: z
      .string()
      .max(128)
      .regex(/^[a-z0-9.-]+\/[a-z0-9.-]+$/, { error: "expected an extension's name in lower case, such as acme.dev/toy", abort: true })
      .meta({ title: 'Type', description: 'The name of the extension, with a slash.' }),
  })
  .superRefine((engine, context) => {
    const wrong = notJson(engine)
    if (wrong) context.addIssue({ code: 'custom', path: wrong.path, message: `expected ${wrong.expected}` })
  })
  .meta({ title: 'Extension engine', description: 'An engine that is not built in: its fields are checked by its driver.' })

export const builtinEngineSchema = z.discriminatedUnion('type', [wasmEngineSchema, dockerEngineSchema, noopEngineSchema])
export const engineSchema = z.union([builtinEngineSchema, extensionEngineSchema], { error: 'expected a mapping with a type' })
export type EngineSpec = z.output<typeof engineSchema>
export type WasmEngineSpec = z.output<typeof wasmEngineSchema>
export type DockerEngineSpec = z.output<typeof dockerEngineSchema>
export type NoopEngineSpec = z.output<typeof noopEngineSchema>
