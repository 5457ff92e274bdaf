import * as z from 'zod'
import { engineSchema, guestPathSchema } from './engine.ts'
import { failures, type FailureCode } from './failure.ts'
import { bytesSchema, cpuSchema, durationSchema } from './quantity.ts'
import { selectorSchema } from './selector.ts'
import { sourceSchema } from './source.ts'

const labelKey = z.string().max(317).regex(/^([a-z0-9]([a-z0-9.-]*[a-z0-9])?\/)?[A-Za-z0-9]([A-Za-z0-9._-]{0,61}[A-Za-z0-9])?$/, 'expected a label key as in Kubernetes')
const labelValue = z.string().regex(/^([A-Za-z0-9]([A-Za-z0-9._-]{0,61}[A-Za-z0-9])?)?$/, 'expected a label value as in Kubernetes')
const environmentName = z.string().max(256).regex(/^[A-Za-z_][A-Za-z0-9_]*$/, 'expected a name of letters, digits and underscores')

export const inputSchema = z.strictObject({ source: sourceSchema, path: guestPathSchema })
export const outputSchema = z.strictObject({
  name: z.string().regex(/^[A-Za-z0-9][A-Za-z0-9._-]{0,127}$/, 'expected letters, digits, ".", "_" and "-"'),
  path: guestPathSchema,
})
export const publisherSchema = z.strictObject({ type: z.enum(['ipfs', 'local', 'none']) })

const gpuObject = z.strictObject({
  count: z.int().nonnegative().max(1024),
  vendor: z.enum(['nvidia', 'amd', 'intel']).exactOptional(),
  /** A glob over the model's name, such as `*A100*`. */
  model: z.string().max(256).exactOptional(),
  memory: bytesSchema.exactOptional(),
})
/** `1` and `{count: 1}` mean the same and are the same in canonical form. */
const gpuSchema = z.codec(z.union([z.int().nonnegative().max(1024), gpuObject]), gpuObject, {
  decode: (gpu) => (typeof gpu === 'number' ? { count: gpu } : z.encode(gpuObject, gpu)),
  encode: (gpu) => (Object.keys(gpu).length === 1 ? gpu.count : z.decode(gpuObject, gpu)),
})

export const resourcesSchema = z.strictObject({
  cpu: cpuSchema.exactOptional(),
  memory: bytesSchema.exactOptional(),
  disk: bytesSchema.exactOptional(),
  gpu: gpuSchema.exactOptional(),
})

export const networkSchema = z.strictObject({
  mode: z.enum(['none', 'full', 'http']),
  domains: z.array(z.string().min(1).max(253)).exactOptional(),
})

export const environmentSchema = z.record(environmentName, z.union([z.string(), z.strictObject({ secret: z.string().min(1).max(256) })]))

const shardingSchema = z.union([
  z.strictObject({
    /** The `path` of the input that is split; required when there are several. */
    input: guestPathSchema.exactOptional(),
    glob: z.string().min(1).max(1024),
    basePath: z.string().max(1024).exactOptional(),
    batchSize: z.int().positive().exactOptional(),
  }),
  z.strictObject({ count: z.int().positive().max(1_000_000) }),
])

const failureCodes = Object.keys(failures) as [FailureCode, ...FailureCode[]]

/** The job file, apiVersion skrei/v1. Quantities are numbers once read: milli-CPU, bytes, milliseconds. Absent stays absent: see `resolve`. */
export const jobSchema = z.strictObject({
  apiVersion: z.literal('skrei/v1'),
  name: z.string().min(1).max(253).exactOptional(),
  type: z.enum(['batch', 'ops', 'service', 'daemon']).exactOptional(),
  engine: engineSchema,
  inputs: z.array(inputSchema).max(1024).exactOptional(),
  outputs: z.array(outputSchema).max(256).exactOptional(),
  publisher: z
    .codec(z.union([publisherSchema, z.array(publisherSchema).min(1).max(8)]), z.array(publisherSchema), {
      decode: (publisher) => (Array.isArray(publisher) ? publisher : [publisher]),
      encode: (publishers) => (publishers.length === 1 && publishers[0] !== undefined ? publishers[0] : publishers),
    })
    .exactOptional(),
  resources: resourcesSchema.exactOptional(),
  limits: z.strictObject({ stdout: bytesSchema.exactOptional(), stderr: bytesSchema.exactOptional(), files: z.int().positive().exactOptional() }).exactOptional(),
  sharding: shardingSchema.exactOptional(),
  partial: z
    .strictObject({
      policy: z.enum(['fail-fast', 'best-effort']),
      /** How many shards may fail before the job does; best-effort only. */
      tolerate: z.int().nonnegative().exactOptional(),
    })
    .exactOptional(),
  verification: z
    .strictObject({
      method: z.enum(['none', 'deterministic', 'economic', 'attested']),
      replicas: z.int().positive().max(1000).exactOptional(),
      errorTarget: z.number().gt(0).lt(1).exactOptional(),
      adversaryShare: z.number().gt(0).lt(0.5).exactOptional(),
      stdout: z.boolean().exactOptional(),
    })
    .exactOptional(),
  timeouts: z.strictObject({ queue: durationSchema.exactOptional(), execution: durationSchema.exactOptional(), total: durationSchema.exactOptional() }).exactOptional(),
  retry: z
    .strictObject({
      /** Counts all tries, the first too. */
      attempts: z.int().positive().max(100).exactOptional(),
      on: z.array(z.enum(failureCodes)).exactOptional(),
      backoff: durationSchema.exactOptional(),
      perNode: z.int().positive().exactOptional(),
    })
    .exactOptional(),
  constraints: z.array(selectorSchema).max(64).exactOptional(),
  prefer: z.array(selectorSchema).max(64).exactOptional(),
  env: environmentSchema.exactOptional(),
  labels: z.record(labelKey, labelValue).exactOptional(),
  network: networkSchema.exactOptional(),
})

/** A job as read and validated, in normal units, with nothing filled in. Its canonical form names it: see `specCid`. */
export type JobSpec = z.output<typeof jobSchema>
/** A job as people write it. */
export type JobFile = z.input<typeof jobSchema>
export type PublisherSpec = z.output<typeof publisherSchema>
export type OutputSpec = z.output<typeof outputSchema>
export type InputSpec = z.output<typeof inputSchema>
export type ShardingSpec = z.output<typeof shardingSchema>
export type GpuRequest = z.output<typeof gpuObject>
