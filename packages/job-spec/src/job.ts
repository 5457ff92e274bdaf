import * as z from 'zod'
import { argumentSchema, engineSchema } from './engine.ts'
import { type FailureCode, failures } from './failure.ts'
import { globSchema, modelPatternSchema } from './glob-schema.ts'
import { guestPath, subPathSchema } from './path.ts'
import { bytesSchema, cpuSchema, durationSchema } from './quantity.ts'
import { rule } from './rule.ts'
import { jobRules, verificationRules } from './rules.ts'
import { labelKeyPattern, labelValuePattern, selectorSchema } from './selector.ts'
import { sourceSchema } from './source.ts'

const labelKey = z
  .string()
  .max(317)
  .regex(labelKeyPattern, 'expected a label key as in Kubernetes: up to 63 letters, digits, "-", "_" and ".", with an optional DNS prefix and "/"')
const labelValue = z
  .string({ error: 'expected text; put numbers, true and false into quotes' })
  .regex(labelValuePattern, 'expected a label value as in Kubernetes: up to 63 letters, digits, "-", "_" and "."')
/** Labels, as in Kubernetes. */
export const labelsSchema = z.record(labelKey, labelValue)
const environmentName = z
  .string()
  .max(256)
  .regex(/^(?!__proto__$)[A-Za-z_][A-Za-z0-9_]*$/, 'expected a name of letters, digits and underscores')

export const inputSchema = z.strictObject({
  source: sourceSchema.meta({ title: 'Source', description: 'Where the data comes from.' }),
  path: guestPath('an input path').meta({ title: 'Path', description: 'Where the data lies in the sandbox: an absolute path.', examples: ['/inputs'] }),
})
export const outputSchema = z.strictObject({
  name: z
    .string()
    .regex(/^[A-Za-z0-9][A-Za-z0-9._-]{0,127}$/, 'expected up to 128 letters, digits, ".", "_" and "-", beginning with a letter or digit')
    .meta({ title: 'Name', description: 'The name of the output in the result.' }),
  path: guestPath('an output path').meta({
    title: 'Path',
    description: 'The directory in the sandbox that the program writes to: an absolute path.',
    examples: ['/outputs'],
  }),
})
export const publisherSchema = z.strictObject({
  type: z.enum(['ipfs', 'local', 'none']).meta({ title: 'Type', description: 'The driver that publishes.' }),
})

const deviceCount = z.int().nonnegative().max(1024)
const gpuShape = {
  count: deviceCount.meta({ title: 'Count', description: 'How many devices.' }),
  vendor: z.enum(['nvidia', 'amd', 'intel']).meta({ title: 'Vendor', description: 'Who made them. Any, unless given.' }).exactOptional(),
  model: modelPatternSchema.meta({ title: 'Model', description: "A glob over the model's name. Any, unless given.", examples: ['*A100*'] }).exactOptional(),
}
const gpuObject = z.strictObject({
  ...gpuShape,
  memory: bytesSchema.meta({ title: 'Memory', description: 'The least memory of each device.' }).exactOptional(),
})
/** As {@link gpuObject}, read: in bytes. */
const gpuRequest = z.strictObject({ ...gpuShape, memory: z.int().nonnegative().exactOptional() })
/** `1` and `{count: 1}` mean the same and are the same in canonical form. */
const gpuSchema = z.codec(z.union([deviceCount, gpuObject], { error: 'expected a number of devices, or {count, vendor, model, memory}' }), gpuRequest, {
  decode: (gpu) => (typeof gpu === 'number' ? { count: gpu } : gpu),
  encode: (gpu) => (Object.keys(gpu).length === 1 ? gpu.count : gpu),
})

export const resourcesSchema = z.strictObject({
  cpu: cpuSchema.meta({ title: 'CPU', description: 'CPU per execution, as in Kubernetes.' }).exactOptional(),
  memory: bytesSchema.meta({ title: 'Memory', description: 'Memory per execution.' }).exactOptional(),
  disk: bytesSchema.meta({ title: 'Disk', description: 'Disk per execution: inputs, and again outputs, are bounded by it.' }).exactOptional(),
  gpu: gpuSchema.meta({ title: 'GPU', description: 'Devices per execution: a number, or what they must be like.' }).exactOptional(),
})

export const networkSchema = z
  .strictObject({
    mode: z
      .enum(['none', 'full', 'http'])
      .meta({ title: 'Mode', description: 'none: no network; http: HTTP(S) to the domains; full: everything that the node allows.' }),
    domains: z
      .array(
        z
          .string()
          .min(1)
          .max(253)
          .regex(
            /^(\*\.)?[A-Za-z0-9]([A-Za-z0-9-]*[A-Za-z0-9])?(\.[A-Za-z0-9]([A-Za-z0-9-]*[A-Za-z0-9])?)*$/,
            'expected a domain such as example.org or *.example.org',
          ),
      )
      .max(256)
      .meta({ title: 'Domains', description: 'Hosts that the program may reach; mode http only.' })
      .exactOptional(),
  })
  .check(
    rule<{ mode: string; domains?: readonly string[] }>(['mode', 'domains'], ({ mode, domains }) =>
      domains !== undefined && mode !== 'http' ? [{ path: ['domains'], message: `\`domains\` goes with \`mode: http\` only, and here it is \`${mode}\`` }] : [],
    ),
  )

export const environmentSchema = z.record(
  environmentName,
  z.union(
    [argumentSchema, z.strictObject({ secret: z.string().min(1).max(256).meta({ title: 'Secret', description: "The name of one of the node's secrets." }) })],
    {
      error: 'expected text (put numbers, true and false into quotes), or {secret: name}',
    },
  ),
)

const shardingSchema = z.union(
  [
    z
      .strictObject({
        input: guestPath('an input path')
          .meta({ title: 'Input', description: 'The `path` of the input that is split; required when there are several. The others go whole to every shard.' })
          .exactOptional(),
        glob: globSchema.meta({
          title: 'Glob',
          description: 'Which files of the input are split over shards; relative to basePath.',
          examples: ['*.csv', '**/*.json'],
        }),
        basePath: subPathSchema.meta({ title: 'Base path', description: 'A directory of the input that the glob is relative to.' }).exactOptional(),
        batchSize: z.int().positive().meta({ title: 'Batch size', description: 'Files per shard.' }).exactOptional(),
      })
      .meta({ title: 'Sharding by files' }),
    z
      .strictObject({
        count: z.int().positive().max(1_000_000).meta({ title: 'Count', description: 'How many shards; each gets the whole input, its index and the count.' }),
      })
      .meta({ title: 'Sharding by number' }),
  ],
  { error: 'expected {glob: …}, or {count: …}' },
)

const failureCodes = Object.keys(failures) as [FailureCode, ...FailureCode[]]

/** The job file, apiVersion skrei/v1. Quantities are numbers once read: milli-CPU, bytes, milliseconds. Absent stays absent: see `resolve`. */
export const jobSchema = z
  .strictObject({
    apiVersion: z.literal('skrei/v1').meta({ title: 'API version', description: 'The version of the format: skrei/v1.' }),
    name: z
      .string()
      .min(1)
      .max(253)
      .regex(/^[^\p{Cc}\p{Zl}\p{Zp}]*$/u, 'expected one line of text')
      .meta({ title: 'Name', description: 'What people call the job; it need not be unique.' })
      .exactOptional(),
    type: z.enum(['batch', 'ops', 'service', 'daemon']).meta({ title: 'Type', description: 'How the job runs: batch ends by itself.' }).exactOptional(),
    engine: engineSchema.meta({ title: 'Engine', description: 'What runs, and in what.' }),
    inputs: z.array(inputSchema).max(1024).meta({ title: 'Inputs', description: 'The data, and where it lies in the sandbox.' }).exactOptional(),
    outputs: z.array(outputSchema).max(256).meta({ title: 'Outputs', description: 'What is kept of what the program writes.' }).exactOptional(),
    publisher: z
      .codec(
        z.union([publisherSchema, z.array(publisherSchema).min(1).max(8)], { error: 'expected a publisher such as {type: ipfs}, or a list of them' }),
        z.array(publisherSchema),
        {
          decode: (publisher) => (Array.isArray(publisher) ? publisher : [publisher]),
          encode: (publishers) => (publishers.length === 1 && publishers[0] !== undefined ? publishers[0] : publishers),
        },
      )
      .meta({ title: 'Publisher', description: 'Where results go: one, or a list.' })
      .exactOptional(),
    resources: resourcesSchema.meta({ title: 'Resources', description: 'What each execution gets and is held to.' }).exactOptional(),
    limits: z
      .strictObject({
        stdout: bytesSchema.meta({ title: 'Standard output', description: 'Bytes of standard output that are kept.' }).exactOptional(),
        stderr: bytesSchema.meta({ title: 'Standard error', description: 'Bytes of standard error that are kept.' }).exactOptional(),
        files: z.int().positive().meta({ title: 'Files', description: 'How many files and directories an execution may write.' }).exactOptional(),
      })
      .meta({ title: 'Limits', description: 'Bounds on what an execution puts out.' })
      .exactOptional(),
    sharding: shardingSchema.meta({ title: 'Sharding', description: 'How the job is split. Without it, it runs as one.' }).exactOptional(),
    partial: z
      .strictObject({
        policy: z
          .enum(['fail-fast', 'best-effort'])
          .meta({ title: 'Policy', description: 'fail-fast: the first shard that fails ends the job; best-effort: the others go on.' }),
        tolerate: z
          .int()
          .nonnegative()
          .meta({ title: 'Tolerate', description: 'How many shards may fail before the job does; best-effort only.' })
          .exactOptional(),
      })
      .check(
        rule<{ policy: string; tolerate?: number }>(['policy', 'tolerate'], ({ policy, tolerate }) =>
          tolerate !== undefined && policy !== 'best-effort'
            ? [{ path: ['tolerate'], message: `\`tolerate\` goes with \`policy: best-effort\` only, and here it is \`${policy}\`` }]
            : [],
        ),
      )
      .meta({ title: 'Partial results', description: 'What happens when a shard fails.' })
      .exactOptional(),
    verification: z
      .strictObject({
        method: z
          .enum(['none', 'deterministic', 'economic', 'attested'])
          .meta({ title: 'Method', description: 'How it is decided whether a result is right.' }),
        replicas: z
          .int()
          .positive()
          .max(1000)
          .meta({ title: 'Replicas', description: 'How many nodes compute each shard; deterministic only.' })
          .exactOptional(),
        errorTarget: z
          .number()
          .gt(0)
          .lt(1)
          .meta({ title: 'Error target', description: 'The accepted probability of a wrong result; with adversaryShare, instead of replicas.' })
          .exactOptional(),
        adversaryShare: z
          .number()
          .gt(0)
          .lt(0.5)
          .meta({ title: 'Adversary share', description: 'The assumed share of dishonest bidders; with errorTarget.' })
          .exactOptional(),
        stdout: z.boolean().meta({ title: 'Standard output', description: 'Whether standard output is part of what must agree.' }).exactOptional(),
      })
      .check(...verificationRules)
      .meta({ title: 'Verification', description: 'How results are checked.' })
      .exactOptional(),
    timeouts: z
      .strictObject({
        queue: durationSchema.meta({ title: 'Queue', description: 'How long the job waits for a free node.' }).exactOptional(),
        execution: durationSchema.meta({ title: 'Execution', description: 'How long the program may run.' }).exactOptional(),
        total: durationSchema.meta({ title: 'Total', description: 'How long everything may take.' }).exactOptional(),
      })
      .meta({ title: 'Timeouts', description: 'Bounds on time.' })
      .exactOptional(),
    retry: z
      .strictObject({
        attempts: z
          .int()
          .positive()
          .max(100)
          .meta({ title: 'Attempts', description: 'How often each shard is tried, the first time included.' })
          .exactOptional(),
        on: z.array(z.enum(failureCodes)).max(failureCodes.length).meta({ title: 'On', description: 'The failures that are tried again.' }).exactOptional(),
        backoff: durationSchema.meta({ title: 'Backoff', description: 'The wait before the second try; it grows with each.' }).exactOptional(),
        perNode: z.int().positive().max(100).meta({ title: 'Per node', description: 'How often one node may try the same shard.' }).exactOptional(),
      })
      .meta({ title: 'Retry', description: 'What is tried again, and how often.' })
      .exactOptional(),
    constraints: z
      .array(selectorSchema)
      .max(64)
      .meta({ title: 'Constraints', description: "Label selectors that a node's labels must satisfy, all of them." })
      .exactOptional(),
    prefer: z
      .array(selectorSchema)
      .max(64)
      .meta({ title: 'Preferences', description: 'Label selectors: nodes whose labels satisfy more of them come first.' })
      .exactOptional(),
    env: environmentSchema
      .meta({ title: 'Environment', description: "Environment variables: text, or the name of one of the node's secrets." })
      .exactOptional(),
    labels: labelsSchema.meta({ title: 'Labels', description: "The job's own labels." }).exactOptional(),
    network: networkSchema.meta({ title: 'Network', description: 'The network that the program sees.' }).exactOptional(),
  })
  .check(...jobRules)

/** A job as read and validated, in normal units, with nothing filled in. Its canonical form names it: see `specCid`. */
export type JobSpec = z.output<typeof jobSchema>
/** A job as people write it. */
export type JobFile = z.input<typeof jobSchema>
export type PublisherSpec = z.output<typeof publisherSchema>
export type OutputSpec = z.output<typeof outputSchema>
export type InputSpec = z.output<typeof inputSchema>
export type ShardingSpec = z.output<typeof shardingSchema>
export type GpuRequest = z.output<typeof gpuRequest>
