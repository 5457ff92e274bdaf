/** How long things take, in milliseconds, and how many at once. Every node of a network may have its own. */
export interface Settings {
  /** How long a compute node may go on, staging, running or publishing, without hearing from its requester; one that is not heard of for longer is lost. */
  readonly lease: number
  /** Between two heartbeats to the same node. */
  readonly heartbeat: number
  /** How far clocks may run apart: a share (PROTOCOL.md: rho). */
  readonly drift: number
  /** How many nodes are asked for one shard when the best-ranked, asked alone, does not bid within `bidWindow`. */
  readonly asks: number
  /** How many nodes may have been asked for one shard at a time; one that says that it has room then takes the place of the one that has waited longest. */
  readonly maxAsks: number
  /** Without any bid for this long, more nodes are asked. */
  readonly widen: number
  /** How long the best-ranked node may answer before others are asked too; and after another's bid, how long a better-ranked node may still answer. */
  readonly bidWindow: number
  /** How long a bid is firm. */
  readonly bidTtl: number
  /** How long a node may take to find out whether it can run a task. */
  readonly assess: number
  /** How long staging may take. */
  readonly stage: number
  /** How long publishing may take after an accept, while the node is heard of. */
  readonly publish: number
  /** How long fetching and matching a published result may take. */
  readonly match: number
  /** How long stopping may take. */
  readonly stop: number
  /** How long a compute node keeps outputs without a word from the requester, at most. */
  readonly retention: number
  /** Before nodes are asked again when none could bid; as a compute node, what it tells those that it sends away, at least. */
  readonly retryAfter: number
  /** As a requester, how long a node's `retryAfter` is honoured; as a compute node, how long it lets a requester wait, at most. */
  readonly longestRetryAfter: number
  /** How many shards of a job are open at once. */
  readonly window: number
  /** How many asks wait at a compute node; one requester has half of it at most. */
  readonly queue: number
  /** How many bids of one requester a node holds capacity for, before they are awarded. */
  readonly reservations: number
  /** What share of the node these bids may hold together while others wait; one is always allowed. */
  readonly reservedShare: number
  /** How many bids of one requester may come to nothing before it has to wait for more; an award makes up for `maxAsks` of them. */
  readonly lapses: number
  /** How many asks of one requester are looked into at once, and how many a second after that; others are declined as `busy`, and leave nothing. */
  readonly asksAtOnce: number
  readonly asksPerSecond: number
  /** How many asks may be looked into, or wait for that, at one time; one requester has half of it at most. Others are declined as `queue-full`. */
  readonly assessing: number
  /** How long an ask may wait here, whatever its requester says. */
  readonly longestQueue: number
  /** How often asks may be served before the one whose turn it is, taking of what it lacks; then nobody may until it is served. */
  readonly bypasses: number
  /** How long a node's announcement holds. */
  readonly announcementTtl: number
  /** How long a job is kept after its end, with its shards, its executions and their history; a day at least, because messages about it may be on their way. */
  readonly keepJobs: number
  /** How long a compute node remembers an execution after its end, so that a late ask or award is known to be one; a day at least. */
  readonly keepExecutions: number
  /** How many asks of one requester that came to nothing a compute node remembers for that time; the oldest are forgotten for more. */
  readonly keepDeclined: number
  /** How many events that came to nothing are recorded in the history of one object; the rest is only counted. */
  readonly refusals: number
  /** With fewer nodes than this, each announces itself to all; from then on nodes are found by asking random peers. 0: always. */
  readonly gossipBelow: number
  /** A requester that looks for nodes asks its peers for more while it knows fewer than this with the job's engine. */
  readonly directoryTarget: number
}

const second = 1000

/** What a node does that is told nothing else. */
export const defaultSettings: Settings = Object.freeze({
  lease: 30 * second,
  heartbeat: 10 * second,
  drift: 0.1,
  asks: 3,
  maxAsks: 8,
  widen: 5 * second,
  bidWindow: 200,
  bidTtl: 30 * second,
  assess: 30 * second,
  stage: 600 * second,
  publish: 600 * second,
  match: 600 * second,
  stop: 60 * second,
  retention: 3600 * second,
  retryAfter: second,
  longestRetryAfter: 60 * second,
  window: 64,
  queue: 10_000,
  reservations: 256,
  reservedShare: 0.5,
  lapses: 32,
  asksAtOnce: 10_000,
  asksPerSecond: 1000,
  assessing: 2048,
  longestQueue: 3600 * second,
  bypasses: 16,
  announcementTtl: 90 * second,
  keepJobs: 7 * 86_400 * second,
  keepExecutions: 2 * 86_400 * second,
  keepDeclined: 2000,
  refusals: 1000,
  gossipBelow: 500,
  directoryTarget: 64,
})

/** What each setting is: milliseconds; a share of one, which may be none or may be all; a whole number; so many a second. */
export const settingKinds: Readonly<Record<keyof Settings, 'time' | 'share below one' | 'share above none' | 'count' | 'rate'>> = {
  lease: 'time',
  heartbeat: 'time',
  drift: 'share below one',
  asks: 'count',
  maxAsks: 'count',
  widen: 'time',
  bidWindow: 'time',
  bidTtl: 'time',
  assess: 'time',
  stage: 'time',
  publish: 'time',
  match: 'time',
  stop: 'time',
  retention: 'time',
  retryAfter: 'time',
  longestRetryAfter: 'time',
  window: 'count',
  queue: 'count',
  reservations: 'count',
  reservedShare: 'share above none',
  lapses: 'count',
  asksAtOnce: 'count',
  asksPerSecond: 'rate',
  assessing: 'count',
  longestQueue: 'time',
  bypasses: 'count',
  announcementTtl: 'time',
  keepJobs: 'time',
  keepExecutions: 'time',
  keepDeclined: 'count',
  refusals: 'count',
  gossipBelow: 'count',
  directoryTarget: 'count',
}

/** With these, 0 means none. */
export const settingsThatMayBeZero: ReadonlySet<string> = new Set<keyof Settings>([
  'queue',
  'bypasses',
  'lapses',
  'refusals',
  'gossipBelow',
  'directoryTarget',
  'bidWindow',
  'retryAfter',
  'longestRetryAfter',
])
