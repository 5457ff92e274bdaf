/** What one API may hold at a time. Sizes in bytes, times in milliseconds. */
export interface ApiLimits {
  /** Requests that are answered at a time, streams not counted. Default 2048. */
  readonly requests?: number
  /** Streams at a time: events, logs, files, archives, uploads. Default 256. */
  readonly streams?: number
  /** The largest blob or archive that is taken. Default 1 GiB. */
  readonly blobBytes?: number
  /** Files and directories of one archive. Default 100,000. */
  readonly treeEntries?: number
  /** After how long without an event a stream says that it lives. Default 15,000, at most 60,000. */
  readonly heartbeat?: number
  /** How long a body may bring nothing. Default 30,000. */
  readonly bodySilence?: number
  /** How long a client may take nothing of an answer that waits for it, or say nothing on an open connection. Default 120,000. */
  readonly clientSilence?: number
}

export type Limits = Required<ApiLimits>

const defaults: Limits = {
  requests: 2048,
  streams: 256,
  blobBytes: 2 ** 30,
  treeEntries: 100_000,
  heartbeat: 15_000,
  bodySilence: 30_000,
  clientSilence: 120_000,
}

export const resolveLimits = (given: ApiLimits = {}): Limits => {
  const limits = { ...defaults, ...given }
  for (const [name, value] of Object.entries(limits)) {
    if (!Object.hasOwn(defaults, name)) throw new RangeError(`createApi: there is no limit ${name}`)
    if (!(Number.isSafeInteger(value) && value > 0)) throw new RangeError(`createApi: limits.${name} must be a whole number above 0, not ${value}`)
  }
  if (limits.heartbeat > 60_000)
    throw new RangeError(`createApi: limits.heartbeat must be at most 60000, not ${limits.heartbeat}: silent connections are closed`)
  return Object.freeze(limits)
}

/** The largest job file, in bytes: what `readJob` takes. */
export const maxJobBytes = 2 ** 20
