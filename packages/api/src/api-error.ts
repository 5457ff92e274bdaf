import type { Problem } from './schema/problem.ts'

export interface ApiErrorKind {
  /** HTTP status. */
  readonly status: 400 | 403 | 404 | 405 | 409 | 410 | 413 | 415 | 416 | 422 | 500 | 501 | 503 | 507
  readonly cause: string
  readonly remedy: string
}

/** Why the API refuses a request: the closed list. What is wrong with a job file has a code of `problems` of `@skrei/job-spec` instead, with status 422. */
export const apiErrors = {
  'bad-request': {
    status: 400,
    cause: 'A parameter, a header or the body is not of the form that the route takes.',
    remedy: 'Correct what the message names; see /openapi.json.',
  },
  'host-refused': {
    status: 403,
    cause: "The request's Host header is none of the node's own names: another name may have been pointed at the node to reach it from a web page.",
    remedy: 'Use the address that the node printed, or add the name to its allowed hosts.',
  },
  'origin-refused': {
    status: 403,
    cause: 'The request comes from a web page of an origin that the node does not allow.',
    remedy: "Add the page's origin to the node's allowed origins, if you trust it.",
  },
  'no-route': { status: 404, cause: 'The API has nothing at this path.', remedy: 'See /openapi.json for what there is.' },
  'method-not-allowed': { status: 405, cause: 'The path does not take this method.', remedy: 'Use one of those in the Allow header.' },
  'job-not-found': {
    status: 404,
    cause: 'The node has no job of this id, or has forgotten it.',
    remedy: 'List the jobs; ask the node that the job was submitted to.',
  },
  'id-ambiguous': { status: 409, cause: 'Several jobs have an id that begins so.', remedy: 'Give more characters of the id.' },
  'key-reused': {
    status: 409,
    cause: 'The idempotency key belongs to a job with another spec.',
    remedy: 'Use a new key for another job; the same key only to submit the same job again.',
  },
  'result-not-there': {
    status: 409,
    cause: 'The job has no result: it has not ended yet, or published nothing.',
    remedy: 'Wait until the job is final; give it a publisher.',
  },
  'file-not-found': { status: 404, cause: 'The result has no file of this path.', remedy: 'Look through the whole result for the path.' },
  'no-shard': {
    status: 404,
    cause: 'The job has no shard of this index.',
    remedy: 'Count from 0; `skrei job describe` says how many shards the job has, once it is planned.',
  },
  'logs-unavailable': {
    status: 503,
    cause: 'What the execution wrote cannot be read now: its node does not answer.',
    remedy: 'Try again; what is published can be read once the job is final.',
  },
  'logs-gone': { status: 410, cause: 'Nothing is left of what the execution wrote.', remedy: 'Give the job a publisher, or follow its logs while it runs.' },
  'range-not-satisfiable': {
    status: 416,
    cause: 'The range begins behind the end of the file.',
    remedy: 'Ask for a range within the size that Content-Range names.',
  },
  'body-too-large': { status: 413, cause: 'The body is larger than the node takes.', remedy: 'Send less: the message has the limit.' },
  'unsupported-media-type': { status: 415, cause: 'The Content-Type is none that the route takes.', remedy: 'Send one of those that the message names.' },
  'tree-invalid': {
    status: 422,
    cause: 'The archive cannot be taken: it is damaged, or holds links, special files, paths that leave it, a path twice, or too many files.',
    remedy: 'Pack plain files and directories below one directory.',
  },
  'job-invalid': { status: 422, cause: 'The job is none that a job file could say.', remedy: 'Correct the field that the message names.' },
  'not-enough-nodes': {
    status: 422,
    cause: 'The job wants more nodes for each shard than this network has.',
    remedy: 'Use verification.method none, lower verification.replicas, or submit the job to a network with more nodes.',
  },
  'not-built': { status: 422, cause: 'The job asks for something that this release does not do yet.', remedy: 'Remove the field that the message names.' },
  'task-too-large': {
    status: 422,
    cause: 'The task does not fit into one message: its arguments, environment or inline module are too large.',
    remedy: 'Give the module or the data by another source than inline: POST /blobs.',
  },
  'not-requester': {
    status: 501,
    cause: 'The node takes no jobs: it does not have the role of a requester.',
    remedy: 'Use another node, or give this one the role.',
  },
  'blobs-off': { status: 501, cause: 'The node keeps no blobs: IPFS is off.', remedy: 'Turn IPFS on at the node, or use another source.' },
  'storage-full': {
    status: 507,
    cause: 'The node has no room for more blobs: they take what they may together, or its disk has too little left.',
    remedy: 'Make room on the disk of the node, or raise what its blobs may take together: `api.totalBlobBytes` of `skrei node start`.',
  },
  draining: {
    status: 503,
    cause: 'The node finishes what runs and then ends: it takes nothing new.',
    remedy: 'Use another node, or wait until it is started again.',
  },
  'too-many-streams': {
    status: 503,
    cause: 'As many event and log streams are open as the node serves at a time.',
    remedy: 'Close some, or try again after the time in Retry-After.',
  },
  'too-many-requests': { status: 503, cause: 'As many requests are open as the node serves at a time.', remedy: 'Try again after the time in Retry-After.' },
  'node-fault': { status: 500, cause: 'Something went wrong inside the node.', remedy: "Read the node's log." },
} as const satisfies Readonly<Record<string, ApiErrorKind>>

export type ApiErrorCode = keyof typeof apiErrors

/** What the client finds wrong by itself: no answer, or none of a node. */
export const clientErrors = {
  unreachable: { cause: 'Nothing answers at the address, or the connection broke.', remedy: 'Check the address, and that the node runs: `skrei node start`.' },
  'not-skrei': { cause: 'What answers at the address is not a skrei node.', remedy: 'Check the host and the port: something else listens there.' },
} as const

export type ClientErrorCode = keyof typeof clientErrors

export interface ApiErrorDetails extends Partial<Pick<Problem, 'remedy' | 'file' | 'line' | 'column' | 'path'>> {
  /** Default: that of the code. */
  readonly status?: number
  /** Everything that is wrong with a job file; the error itself is the first. */
  readonly problems?: readonly Problem[]
  /** Seconds after which to try again. */
  readonly retryAfter?: number
  readonly cause?: unknown
}

/**
 * What a {@link NodeService} throws to refuse a request, and what the client throws: the same code, message and place on both sides. Branch on `code`: one of {@link apiErrors}, of
 * {@link clientErrors}, of `problems` of `@skrei/job-spec`, or one that a newer node knows.
 */
export class ApiError extends Error {
  override readonly name = 'ApiError'
  readonly code: string
  /** HTTP status; 0 where there was no answer. */
  readonly status: number
  declare readonly remedy?: string
  declare readonly file?: string
  declare readonly line?: number
  declare readonly column?: number
  declare readonly path?: string
  declare readonly problems?: readonly Problem[]
  declare readonly retryAfter?: number

  constructor(code: ApiErrorCode | ClientErrorCode | (string & {}), message: string, details: ApiErrorDetails = {}) {
    const { cause, status, remedy, ...rest } = details
    super(message, cause === undefined ? undefined : { cause })
    const kind: { readonly status?: number; readonly remedy?: string } =
      (Object.hasOwn(apiErrors, code) ? apiErrors[code as ApiErrorCode] : undefined) ??
      (Object.hasOwn(clientErrors, code) ? clientErrors[code as ClientErrorCode] : undefined) ??
      {}
    this.code = code
    this.status = status ?? kind.status ?? 0
    const advice = remedy ?? kind.remedy
    if (advice !== undefined) this.remedy = advice
    Object.assign(this, rest)
  }
}
