import * as z from 'zod'
import { durationSchema } from './quantity.ts'
import { sourceSchema } from './source.ts'

/** An absolute, normal path inside the sandbox, below its root. */
export const guestPathSchema = z
  .string()
  .max(1024)
  .regex(/^(\/(?!\.{1,2}(\/|$))[^/\0]+)+$/, 'expected an absolute path below / without "." or ".." segments and without a trailing slash')

const args = z.array(z.string().max(131_072)).max(4096)

export const wasmEngineSchema = z.strictObject({
  type: z.literal('wasm'),
  module: sourceSchema,
  args: args.exactOptional(),
  /** The text itself, or a file among the inputs. */
  stdin: z.union([z.string(), z.strictObject({ path: guestPathSchema })]).exactOptional(),
  imports: z.record(z.string(), sourceSchema).exactOptional(),
  profile: z.enum(['deterministic', 'fast']).exactOptional(),
  fuel: z.int().positive().exactOptional(),
})

export const dockerEngineSchema = z.strictObject({
  type: z.literal('docker'),
  image: z.string().min(1).max(512),
  entrypoint: args.exactOptional(),
  args: args.exactOptional(),
  workingDirectory: guestPathSchema.exactOptional(),
  user: z.string().max(64).exactOptional(),
  pull: z.enum(['always', 'missing', 'never']).exactOptional(),
})

/** Computes nothing: waits, writes what it is told to, exits as it is told to. For tests, simulations and measuring the network itself. */
export const noopEngineSchema = z.strictObject({
  type: z.literal('noop'),
  duration: durationSchema.exactOptional(),
  exit: z.int().min(0).max(255).exactOptional(),
  stdout: z.string().exactOptional(),
  stderr: z.string().exactOptional(),
  /** Files to write, by absolute guest path. */
  files: z.record(guestPathSchema, z.string()).exactOptional(),
})

/** An engine of somebody else's (`acme.dev/toy`): opaque here, checked by its driver's `assess`. */
export const extensionEngineSchema = z.looseObject({ type: z.string().max(128).regex(/^[a-z0-9.-]+\/[a-z0-9.-]+$/) })

export const builtinEngineSchema = z.discriminatedUnion('type', [wasmEngineSchema, dockerEngineSchema, noopEngineSchema])
export const engineSchema = z.union([builtinEngineSchema, extensionEngineSchema])
export type EngineSpec = z.output<typeof engineSchema>
export type WasmEngineSpec = z.output<typeof wasmEngineSchema>
export type DockerEngineSpec = z.output<typeof dockerEngineSchema>
export type NoopEngineSpec = z.output<typeof noopEngineSchema>
