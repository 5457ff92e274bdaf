import type { Job } from '@skrei/api/client'
import { type Failure, failures } from '@skrei/job-spec'
import { elapsed, oneLine } from './printable.ts'
import type { JobTimeline, TimelineExecution, TimelineShard } from './remote/job-timeline.ts'
import { columns, count, fits, type Style, wrapped } from './table.ts'

/** How it is to look: `width` as of {@link widthOf}. */
interface Look {
  readonly style: Style
  readonly width: number | undefined
}

/** Shards that are shown one by one: first those to which something happened. */
const shownShards = 60

/** A job as a compact timeline: when it did what; per shard where it ran, how long, and what went wrong, at its place. */
export const timelineText = (job: Job, { states, shards, cut }: JobTimeline, now: number, { style, width }: Look): readonly string[] => {
  const from = states[0]?.at ?? job.submittedAt
  const until = job.open ? now : (states.at(-1)?.at ?? now)
  const { total, completed = 0, failed = 0 } = job.shards ?? {}
  const shown = chosen(shards)
  const hidden = (total ?? shards.length) - shown.length
  return [
    `${style(['bold', stateColours[job.state] ?? 'cyan'], job.state)}  ${oneLine(job.name)}${
      total === undefined
        ? ''
        : `, ${completed === total ? count(total, 'shard') : `${completed} of ${count(total, 'shard')} completed`}${failed > 0 ? `, ${failed} failed` : ''}`
    }, ${elapsed(until - from)}`,
    ...(job.failure === undefined ? [] : below(`${style('red', job.failure.code)}  ${reason(job.failure)}`.split(' '), width, 2)),
    ...columns([
      [`  ${style('dim', 'job')}`, oneLine(job.id)],
      [`  ${style('dim', 'spec')}`, oneLine(job.specCid)],
      ...(job.reference === undefined ? [] : [[`  ${style('dim', 'result')}`, oneLine(job.reference.cid ?? job.reference.path ?? job.reference.type)]]),
      [`  ${style('dim', 'submitted')}`, new Date(job.submittedAt).toISOString()],
    ]),
    '',
    ...below(
      states.map(({ state, at }) => `${style('dim', since(at - from))} ${state}`),
      width,
      2,
      '  ',
    ),
    ...(shown.length === 0
      ? []
      : [
          '',
          ...shardLines(
            shown.flatMap((shard) => shardRows(shard, from, now, style)),
            width,
          ),
        ]),
    ...(hidden > 0 ? [style('dim', `  … and ${count(hidden, 'more shard')}${cut ? '' : ': --json has all that were opened'}`)] : []),
  ]
}

const stateColours: Readonly<Record<string, 'green' | 'red' | 'yellow' | 'cyan' | 'dim'>> = {
  completed: 'green',
  failed: 'red',
  lost: 'red',
  refused: 'yellow',
  cancelled: 'yellow',
  stopped: 'yellow',
}

/** In the order of their indices; of many, those with failures or several attempts, then those that go on, then the others. */
const chosen = (shards: readonly TimelineShard[]): readonly TimelineShard[] => {
  if (shards.length <= shownShards) return shards
  const rank = ({ state, failure, executions }: TimelineShard): number =>
    failure !== undefined || executions.length > 1 ? 0 : ['completed', 'cancelled'].includes(state) ? 2 : 1
  return shards
    .toSorted((one, other) => rank(one) - rank(other) || one.index - other.index)
    .slice(0, shownShards)
    .toSorted((one, other) => one.index - other.index)
}

/** Words below a line, that much further in. */
const below = (words: readonly string[], width: number | undefined, by: number, between?: string): readonly string[] =>
  wrapped(words, width === undefined ? undefined : width - by, between).map((line) => `${' '.repeat(by)}${line}`)

interface ShardRow {
  readonly cells: readonly string[]
  /** What happened; it stands in the last cell, or where there is no room, below. */
  readonly reason?: string
}

const shardLines = (rows: readonly ShardRow[], width: number | undefined): readonly string[] => {
  const whole = columns(rows.map(({ cells, reason: why }) => (why === undefined ? cells : cells.with(-1, [cells.at(-1), why].filter(Boolean).join('  ')))))
  if (fits(whole, width)) return whole
  const lines = columns(rows.map(({ cells }) => cells))
  return rows
    .flatMap(({ reason: why }, index) => [lines[index] ?? '', ...(why === undefined ? [] : below(why.split(' '), width, 4))])
    .filter((line) => line !== '')
}

/** A row for each attempt; the shard's own state stands in the first. */
const shardRows = ({ index, state, failure, refusals, executions }: TimelineShard, from: number, now: number, style: Style): readonly ShardRow[] => {
  const head = (first: boolean): readonly string[] => (first ? [`  shard ${index}`, style(stateColours[state] ?? 'cyan', state)] : ['', ''])
  const why = (told: Failure | undefined): Pick<ShardRow, 'reason'> => (told === undefined ? {} : { reason: reason(told) })
  const waits = refusals === undefined ? {} : { reason: shortened(refusals.map(({ code, detail }) => `${code}: ${detail}`).join('; ')) }
  if (executions.length === 0) return [{ cells: [...head(true), '', '', '', ''], ...why(failure), ...waits }]
  const rows = executions.map((execution, attempt) => ({
    cells: [...head(attempt === 0), ...executionCells(execution, from, now, style)],
    ...why(execution.failure),
  }))
  const known = failure === undefined || executions.some((execution) => execution.failure?.code === failure.code)
  return known && refusals === undefined ? rows : [...rows, { cells: ['', '', '', '', '', ''], ...(known ? waits : why(failure)) }]
}

const executionCells = ({ node, startedAt, endedAt, outcome, failure }: TimelineExecution, from: number, now: number, style: Style): readonly string[] => [
  startedAt === undefined ? '' : style('dim', since(startedAt - from)),
  startedAt === undefined ? '' : elapsed((endedAt ?? now) - startedAt),
  shortNode(node),
  `${style(stateColours[outcome] ?? 'cyan', outcome)}${failure === undefined ? '' : `  ${style('bold', failure.code)}`}`,
]

/** Ids of ed25519 keys all begin alike: their ends tell them apart, and `node describe` takes them. */
const shortNode = (node: string): string => (node.length > 20 ? `…${oneLine(node.slice(-8))}` : oneLine(node))

const since = (milliseconds: number): string => `+${elapsed(Math.max(0, milliseconds))}`

/** What happened, in one sentence. */
const reason = ({ code, detail }: Failure): string => {
  const cause = failures[code]?.cause ?? code
  const text = detail === '' ? cause : `${cause.replace(/\.$/, '')}: ${detail}`
  return shortened(text)
}

const shortened = (text: string): string => {
  const line = oneLine(text)
  return line.length <= 240 ? line : `${line.slice(0, 239)}…`
}
