import { styleText } from 'node:util'
import type { JobView } from '@skrei/scheduler'
import { asCalled } from './called-as.ts'
import type { ResultEvent } from './job-events.ts'
import { elapsed, oneLine } from './printable.ts'

/** How a job ended, where its result lies, and what to type next. */
export const summary = (
  job: JobView,
  { results, error }: ResultEvent,
  /** How long it took; undefined where that is not known. */
  milliseconds: number | undefined,
  stream: NodeJS.WriteStream,
  /** What fetches a result of this CID again. */
  again: (cid: string) => string,
): string => {
  const style = (format: Parameters<typeof styleText>[0], text: string) => styleText(format, text, { stream })
  const colour = job.state === 'completed' ? 'green' : job.state === 'cancelled' ? 'yellow' : 'red'
  const { total = 0, completed = 0, failed = 0 } = job.shards ?? {}
  const shards = job.state === 'completed' ? count(total) : total === 0 ? '' : `${completed} of ${count(total)} completed, ${failed} failed`
  const rows: readonly (readonly [string, string])[] = [
    ...(results.cid === null ? [] : [['result', results.cid] as const]),
    ...(results.path === null ? [] : [['files', results.path] as const]),
    ...(results.cid === null ? [] : [[results.path === null ? 'fetch it' : 'fetch it again', again(results.cid)] as const]),
  ]
  return [
    `${style([colour, 'bold'], job.state)}  ${oneLine(job.name)}${shards === '' ? '' : `, ${shards}`}${milliseconds === undefined ? '' : `, ${elapsed(milliseconds)}`}`,
    ...(error === null || job.state === 'cancelled' ? [] : errorLines(error, style)),
    ...rows.map(([label, value]) => `  ${style('dim', label.padEnd(14))} ${oneLine(value)}`),
  ].join('\n')
}

const count = (shards: number): string => `${shards} ${shards === 1 ? 'shard' : 'shards'}`

const stderrLines = 12

const errorLines = (error: NonNullable<ResultEvent['error']>, style: (format: Parameters<typeof styleText>[0], text: string) => string): readonly string[] => {
  const where = error.shard === undefined ? '' : `  (shard ${error.shard}${error.node === undefined ? '' : ` on ${error.node}`})`
  return [
    `  ${style('bold', error.code)}${where}`,
    `  ${oneLine(error.message)}`,
    ...(error.stderr === undefined
      ? []
      : [
          '  stderr:',
          ...error.stderr
            .split('\n')
            .slice(-stderrLines)
            .map((line) => `    ${style('dim', '│')} ${line}`),
        ]),
    ...(error.remedy === undefined ? [] : [`  ${style('dim', `→ ${asCalled(error.remedy)}`)}`]),
  ]
}
