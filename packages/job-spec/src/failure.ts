import * as z from 'zod'

/** Who a failure is charged to, and whether the network tries again by default (`retry.on` in a job overrides that). */
export interface FailureKind {
  readonly by: 'job' | 'input' | 'node' | 'network' | 'verdict'
  readonly retry: boolean
  readonly cause: string
  readonly remedy: string
}

/** Every way in which an execution, a shard or a job can fail: the closed list. Specifics go into `Failure.detail`. */
export const failures = {
  'exit-nonzero': {
    by: 'job',
    retry: false,
    cause: 'The program ended with an exit code other than 0.',
    remedy: "Read the shard's stderr in the result; the exit code is in result.json.",
  },
  trap: {
    by: 'job',
    retry: false,
    cause: 'The program was stopped by its engine: an illegal instruction, a bad memory access, a stack overflow.',
    remedy: 'Run the program locally on the same input; the detail names the trap.',
  },
  timeout: {
    by: 'job',
    retry: false,
    cause: 'The program ran longer than timeouts.execution and was killed.',
    remedy: 'Raise timeouts.execution, or split the input into smaller shards.',
  },
  'out-of-memory': {
    by: 'job',
    retry: false,
    cause: 'The program needed more memory than resources.memory.',
    remedy: 'Raise resources.memory, or split the input into smaller shards.',
  },
  'output-too-large': {
    by: 'job',
    retry: false,
    cause: 'The program wrote more than resources.disk, or more files than limits.files.',
    remedy: 'Raise resources.disk or limits.files, or write less.',
  },
  'output-unsafe': {
    by: 'job',
    retry: false,
    cause: 'The outputs hold something other than plain files and directories (a link, a device, a name that is not allowed).',
    remedy: 'Write plain files only.',
  },
  'module-invalid': {
    by: 'job',
    retry: false,
    cause: 'The program is not one that its engine can run.',
    remedy:
      'wasm: check that the module is a WebAssembly binary for WASI preview 1 that exports _start and memory. docker: check that the entrypoint is in the image, for the architecture of the node.',
  },
  'task-invalid': {
    by: 'job',
    retry: false,
    cause: 'The task asks its engine for something that does not exist, such as a stdin path that is no input.',
    remedy: 'Correct the field that the detail names.',
  },
  'no-input': {
    by: 'job',
    retry: false,
    cause: 'sharding.glob matched no file of the input.',
    remedy: 'Check sharding.glob and sharding.basePath against the paths of the input.',
  },
  deadline: { by: 'job', retry: false, cause: 'The job was not done within timeouts.total.', remedy: 'Raise timeouts.total.' },
  cancelled: { by: 'job', retry: false, cause: 'The job was cancelled by its user.', remedy: 'Submit it again.' },
  'source-not-found': {
    by: 'input',
    retry: false,
    cause: 'The source does not exist: HTTP 404 or 410, no such file, no such block.',
    remedy: 'Correct the address of the source.',
  },
  'source-refused': {
    by: 'input',
    retry: false,
    cause: 'The source answered that it will not give the data (HTTP 401, 403 and other 4xx).',
    remedy: 'Check that the data is public, or that its address carries its permission.',
  },
  'source-unreachable': {
    by: 'input',
    retry: true,
    cause: 'The source could not be reached, or broke off, or answered with a server error.',
    remedy: 'Check that the source is up; the job was tried as often as retry.attempts allows.',
  },
  'source-timeout': {
    by: 'input',
    retry: true,
    cause: 'The source sent nothing for too long.',
    remedy: 'Check that the source is up; the job was tried as often as retry.attempts allows.',
  },
  'source-too-large': {
    by: 'input',
    retry: false,
    cause: 'The source holds more than what fits into resources.disk, or more than the node stages.',
    remedy: 'Raise resources.disk, or split the input into smaller shards.',
  },
  'source-mismatch': {
    by: 'input',
    retry: false,
    cause: 'The data is not what its sha256 or CID says.',
    remedy: 'Correct the hash, or ask the owner of the source what changed.',
  },
  'source-forbidden': {
    by: 'input',
    retry: false,
    cause: 'The node does not open this address or path: private network, or outside the allowed directories.',
    remedy: 'Allow the address or directory on the node, or put the data where the node may read it.',
  },
  'source-invalid': {
    by: 'input',
    retry: false,
    cause: 'The source is not something that can be staged: two files of one name, a special file, a malformed answer.',
    remedy: 'Correct the source as the detail says.',
  },
  'disk-full': { by: 'node', retry: true, cause: 'The node ran out of disk space while it worked.', remedy: 'Free space on the node.' },
  'node-lost': {
    by: 'node',
    retry: true,
    cause: 'The node died, or could not be reached.',
    remedy: 'Nothing: the shard is tried on another node.',
  },
  'node-restarted': { by: 'node', retry: true, cause: 'The node restarted and no longer has the execution.', remedy: 'Nothing: the shard is tried again.' },
  'node-fault': {
    by: 'node',
    retry: true,
    cause: 'Something went wrong inside the node or its engine.',
    remedy: "Read the node's log; the detail says what it was.",
  },
  'publish-failed': { by: 'node', retry: true, cause: 'The results could not be published.', remedy: "Read the node's log; the detail says what it was." },
  'result-mismatch': {
    by: 'node',
    retry: true,
    cause: 'What was published is not what the node said it had computed.',
    remedy: 'Nothing: the shard is tried on another node.',
  },
  'no-node': {
    by: 'network',
    retry: false,
    cause: 'No node that is known could ever run this.',
    remedy: 'The detail sums up why each node declined: change the job, or add a node that fits.',
  },
  'queue-timeout': { by: 'network', retry: false, cause: 'No node became free within timeouts.queue.', remedy: 'Raise timeouts.queue, or add nodes.' },
  rejected: { by: 'verdict', retry: false, cause: 'Verification rejected the result.', remedy: 'Read the verdict in result.json.' },
  void: { by: 'verdict', retry: false, cause: 'Verification could not decide.', remedy: 'Read the verdict in result.json.' },
} as const satisfies Readonly<Record<string, FailureKind>>

export type FailureCode = keyof typeof failures

/** Whether the same node could bid for the same task later. */
export interface RefusalKind {
  readonly permanent: boolean
  readonly cause: string
  readonly remedy: string
}

/** Every reason for which a node declines an ask: the closed list. */
export const refusals = {
  busy: { permanent: false, cause: 'The node has too little free capacity now.', remedy: 'Wait: the ask is queued until timeouts.queue.' },
  'exceeds-node': { permanent: true, cause: 'The task asks for more than the node has in all.', remedy: 'Ask for less, or add a larger node.' },
  'engine-unavailable': {
    permanent: true,
    cause: "The node does not have the task's engine.",
    remedy: 'Install the engine on the node, or add a node that has it.',
  },
  constraint: {
    permanent: true,
    cause: "The node's labels do not satisfy the job's constraints.",
    remedy: 'Change constraints, or add a node with these labels.',
  },
  'source-unsupported': {
    permanent: true,
    cause: 'The node has no driver for a source of the task.',
    remedy: 'Use another source type, or enable the driver on the node.',
  },
  'source-forbidden': {
    permanent: true,
    cause: "The node's policy does not open a source of the task.",
    remedy: 'Allow the address or directory on the node, or put the data where the node may read it.',
  },
  'publisher-unsupported': {
    permanent: true,
    cause: 'The node has no driver for the publisher of the job.',
    remedy: 'Use another publisher, or enable the driver on the node.',
  },
  'input-too-large': {
    permanent: true,
    cause: 'The inputs of the shard do not fit into resources.disk.',
    remedy: 'Raise resources.disk, or split the input into smaller shards.',
  },
  'network-unsupported': {
    permanent: true,
    cause: 'The engine or the node does not give the task the network that it asks for.',
    remedy: 'Use network.mode none, or an engine and a node that allow it.',
  },
  'image-missing': {
    permanent: true,
    cause: 'The image is not on the node, and it cannot be pulled: the job or the node forbids it, or its registry does not have it or does not give it.',
    remedy: 'Correct engine.image, allow engine.pull, push the image, or give the node credentials for its registry.',
  },
  'secret-unknown': { permanent: true, cause: 'The node does not hold a secret that the task names.', remedy: 'Give the node the secret.' },
  'task-unsupported': { permanent: true, cause: 'The engine does not support a field of the task.', remedy: 'Remove the field that the detail names.' },
  policy: { permanent: true, cause: "The node's own policy refuses the task.", remedy: 'Ask its operator, or use another node.' },
  'protocol-unsupported': {
    permanent: true,
    cause:
      "The node did not take the requester's ask: it speaks another version of the protocol, runs nothing, or finds the message at fault. The detail has its code.",
    remedy: 'Run the same release of skrei on both nodes, in the same network.',
  },
  draining: {
    permanent: false,
    cause: 'The node is about to stop: it ends what it runs, and takes nothing new.',
    remedy: 'Wait: the requester asks other nodes, and this one again once it has restarted.',
  },
  'queue-full': { permanent: false, cause: "The node's queue of asks is full.", remedy: 'Wait: the requester asks again.' },
  'assess-failed': {
    permanent: false,
    cause: 'The node could not find out whether it can run the task.',
    remedy: 'The detail says what did not answer, such as a registry: see that it does. The requester asks again meanwhile.',
  },
} as const satisfies Readonly<Record<string, RefusalKind>>

export type RefusalCode = keyof typeof refusals

const codes = <T extends string>(table: Readonly<Record<T, unknown>>) => Object.keys(table) as [T, ...T[]]

/** What went wrong, in a form that crosses processes. `detail` is for people; callers branch on `code`. */
export const failureSchema = z.strictObject({ code: z.enum(codes(failures)), detail: z.string().max(4096) })
export type Failure = z.output<typeof failureSchema>

/** Why a node declines. `wanted` and `available` are in the unit of the resource: milli-CPU, bytes, devices. */
export const refusalSchema = z.strictObject({
  code: z.enum(codes(refusals)),
  detail: z.string().max(4096),
  resource: z.enum(['cpu', 'memory', 'disk', 'gpu']).exactOptional(),
  wanted: z.number().exactOptional(),
  available: z.number().exactOptional(),
})
export type Refusal = z.output<typeof refusalSchema>

/** Thrown by a driver where the fault is the job's or its input's, not the node's: callers look for `failure`. */
export class FailureError extends Error {
  override readonly name = 'FailureError'
  readonly code: FailureCode
  readonly failure: Failure

  constructor(code: FailureCode, detail: string, options?: ErrorOptions) {
    super(`${code}: ${detail}`, options)
    this.code = code
    this.failure = { code, detail: detail.slice(0, 4096) }
  }
}

/** The failure that an error carries, if it carries one (see {@link FailureError}); looks at the shape, not the class. */
export const failureOf = (error: unknown): Failure | undefined => {
  if (typeof error !== 'object' || error === null || !('failure' in error)) return undefined
  const parsed = failureSchema.safeParse(error.failure)
  return parsed.success ? parsed.data : undefined
}
