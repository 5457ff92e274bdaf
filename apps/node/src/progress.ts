import type { WriteStream } from 'node:tty'
import { styleText } from 'node:util'
import type { Refusal } from '@skrei/job-spec'
import type { CliEvent, ShardState } from './job-events.ts'
import { elapsed, oneLine } from './printable.ts'
import { type OpenShard, type ProgressModel, progressModel } from './progress-model.ts'

/** Shows a job's progress to people. */
export interface Progress extends Disposable {
  show(event: CliEvent): void
  /** A line that stays. */
  note(line: string): void
}

/** On a terminal a few lines that are drawn anew; elsewhere plain lines. */
export const progress = (stream: NodeJS.WriteStream, now: () => number = () => performance.now()): Progress =>
  stream.isTTY && process.env['TERM'] !== 'dumb' ? liveProgress(stream, now) : lineProgress((line) => void stream.write(`${line}\n`), now)

/** Above so many shards only every twentieth part of them is told. */
const manyShards = 40

/** Plain lines, for logs and pipes: every change of a job with few shards; of one with many, every 5 % and each failure. */
export const lineProgress = (write: (line: string) => void, now: () => number): Progress => {
  const { model, apply } = progressModel(now)
  let told = 0
  const count = () => `${model.completed + model.failed}/${model.total ?? '?'} shards`
  return {
    show: (event) => {
      apply(event)
      if (event.type === 'submitted') write(`job ${event.jobId} ${oneLine(event.name)} (${event.specCid})`)
      else if (event.type === 'job' && (event.state === 'planning' || event.state === 'stopping')) write(`job: ${event.state}`)
      else if (event.type === 'planned') write(`job: running, ${event.shards} ${event.shards === 1 ? 'shard' : 'shards'}`)
      else if (event.type === 'shard') {
        const few = (model.total ?? 0) <= manyShards
        if (few && event.refusals !== undefined) write(waitingLine(event.shard, event.refusals))
        else if ((few && event.state !== 'waiting') || event.state === 'failed') {
          const done = event.state === 'completed' || event.state === 'failed' ? ` (${count()})` : ''
          write(`shard ${event.shard}: ${event.state}${event.failure ? `, ${event.failure.code}` : ''}${done}`)
        } else if (event.state === 'completed' && Math.floor((model.completed * 20) / (model.total ?? 1)) > told) {
          told = Math.floor((model.completed * 20) / (model.total ?? 1))
          write(`job: ${count()} completed`)
        }
      }
    },
    note: write,
    [Symbol.dispose]: () => {},
  }
}

/** Why a shard waits, in one line. */
const waitingLine = (shard: number, refusals: readonly Refusal[]): string => {
  const line = `shard ${shard}: waiting, ${refusals.map(({ code, detail }) => `${code}: ${oneLine(detail)}`).join('; ')}`
  return line.length <= longestReason ? line : `${line.slice(0, longestReason - 1)}…`
}
const longestReason = 400

const frame = 100
const maxRows = 8
const barWidth = 24

/** At most ten times a second, one line of counts and the longest-running shards below it; gone without a trace at the end. */
const liveProgress = (stream: WriteStream, now: () => number): Progress => {
  const { model, apply } = progressModel(now)
  let drawn = 0
  const clear = (): string => (drawn === 0 ? '' : `\u001b[${drawn}F\u001b[J`)
  const draw = (): void => {
    const lines = frameLines(model, now(), Math.min(maxRows, stream.rows - 3), stream.columns)
    stream.write(`${clear()}${lines.map((line) => `${line}\n`).join('')}`)
    drawn = lines.length
  }
  const note = (line: string): void => {
    stream.write(`${clear()}${line}\n`)
    drawn = 0
    draw()
  }
  const timer = setInterval(draw, frame)
  timer.unref()
  return {
    show: (event) => {
      apply(event)
      if (event.type === 'shard' && event.refusals !== undefined && (model.total ?? 0) <= manyShards) note(waitingLine(event.shard, event.refusals))
      if (event.type !== 'submitted') return
      stream.write(`${clear()}${styleText('dim', `job ${event.jobId}`, { stream })}\n`)
      drawn = 0
      draw()
    },
    note,
    [Symbol.dispose]: () => {
      clearInterval(timer)
      stream.write(clear())
      drawn = 0
    },
  }
}

const colours: Readonly<Partial<Record<ShardState, 'cyan' | 'green' | 'yellow' | 'magenta'>>> = {
  staging: 'cyan',
  running: 'green',
  publishing: 'magenta',
  retrying: 'yellow',
}

/** One frame. Exported for its test: no line is wider than the terminal, and there are at most `rows` + 2 of them. */
export const frameLines = (model: ProgressModel, now: number, rows: number, columns: number): readonly string[] => {
  const ended = model.completed + model.failed
  const filled = model.total ? Math.floor((ended / model.total) * barWidth) : 0
  const counts = new Map<ShardState, number>()
  for (const { state } of model.open.values()) counts.set(state, (counts.get(state) ?? 0) + 1)
  const states = (['running', 'staging', 'publishing', 'retrying', 'waiting'] as const).flatMap((state) =>
    counts.has(state) ? [`${counts.get(state)} ${state}`] : [],
  )
  const width = Math.max(20, columns - 1)
  const head = [
    ` ${oneLine(model.name).slice(0, 32)} `,
    model.total === undefined ? ` ${model.state}` : ` ${ended}/${model.total} ${model.total === 1 ? 'shard' : 'shards'}`,
    ...(model.state === 'running' || model.total === undefined ? [] : [model.state]),
    ...(model.failed > 0 ? [`${model.failed} failed`] : []),
    elapsed(now - model.startedAt),
    ...states,
  ]
  const text = shorten(head.slice(1).join(' · '), width - barWidth - (head[0]?.length ?? 0))
  const bar = model.total === undefined ? '' : `${styleText('green', '█'.repeat(filled))}${styleText('dim', '░'.repeat(barWidth - filled))}`
  const active = [...model.open].filter(([, shard]) => shard.state !== 'waiting').sort((a, b) => a[1].since - b[1].since || a[0] - b[0])
  const shown = active.slice(0, Math.max(0, rows))
  const more = active.length - shown.length
  return [
    `${styleText('bold', head[0] ?? '')}${bar}${text}`,
    ...shown.map(([index, shard]) => shardLine(index, shard, now, width)),
    ...(more > 0 && rows > 0 ? [styleText('dim', shorten(`   and ${more} more`, width))] : []),
  ]
}

const shardLine = (index: number, shard: OpenShard, now: number, width: number): string => {
  const amount = shard.fraction === undefined ? '' : `${Math.round(shard.fraction * 100)} %`
  const label = shorten(`   shard ${String(index).padStart(4)}  `, width)
  const rest = shorten(`${shard.state.padEnd(11)}${elapsed(now - shard.since).padStart(6)}  ${amount}`.trimEnd(), width - label.length)
  const colour = colours[shard.state]
  return `${label}${colour === undefined ? rest : styleText(colour, rest)}`
}

const shorten = (text: string, width: number): string => (text.length <= width ? text : `${text.slice(0, Math.max(0, width - 1))}…`)
