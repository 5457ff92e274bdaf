import * as z from 'zod'
import { dockerEngineSchema, extensionEngineSchema, noopEngineSchema, wasmEngineSchema } from './engine.ts'
import { modelPatternSchema } from './glob-schema.ts'
import { environmentSchema, networkSchema, outputSchema } from './job.ts'

/** What an execution holds or a node has: milli-CPU, bytes, bytes, devices. */
export const capacitySchema = z.strictObject({
  cpu: z.number().nonnegative(),
  memory: z.number().nonnegative(),
  disk: z.number().nonnegative(),
})
export type Capacity = z.output<typeof capacitySchema>

/** A device of a node, as its executor's inventory names it. `memory` in bytes. The scheduler allocates by these attributes and knows no vendor. */
export const deviceSchema = z.strictObject({
  id: z.string().min(1).max(256),
  kind: z.literal('gpu'),
  vendor: z.string().max(64).exactOptional(),
  model: z.string().max(256).exactOptional(),
  memory: z.number().nonnegative().exactOptional(),
})
export type Device = z.output<typeof deviceSchema>

/** An engine as it crosses processes: in normal units, so a duration is a number of milliseconds. */
const taskEngineSchema = z.union([
  z.discriminatedUnion('type', [wasmEngineSchema, dockerEngineSchema, noopEngineSchema.extend({ duration: z.int().positive().exactOptional() })]),
  extensionEngineSchema,
])

/**
 * A job's spec without its inputs: what one execution needs to know, every default filled in. Units: milli-CPU, bytes, milliseconds.
 * Made by `taskOf(resolve(spec))`.
 */
export const taskSchema = z.strictObject({
  specCid: z.string().max(256),
  engine: taskEngineSchema,
  env: environmentSchema,
  outputs: z.array(outputSchema),
  resources: capacitySchema.extend({
    gpu: z.strictObject({
      count: z.int().nonnegative(),
      vendor: z.string().exactOptional(),
      model: modelPatternSchema.exactOptional(),
      memory: z.number().exactOptional(),
    }),
  }),
  limits: z.strictObject({ stdout: z.int().nonnegative(), stderr: z.int().nonnegative(), files: z.int().positive() }),
  network: networkSchema,
  timeout: z.number().positive(),
})
export type Task = z.output<typeof taskSchema>

/** What an execution used. Absent = unknown, never 0. Milliseconds and bytes. */
export const usageSchema = z.strictObject({
  wallMs: z.number().nonnegative().exactOptional(),
  cpuMs: z.number().nonnegative().exactOptional(),
  memoryPeak: z.number().nonnegative().exactOptional(),
  inputBytes: z.number().nonnegative().exactOptional(),
  outputBytes: z.number().nonnegative().exactOptional(),
})
export type Usage = z.output<typeof usageSchema>
