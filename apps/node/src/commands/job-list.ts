import type { Job, JobState } from '@skrei/api/client'
import { cliError, type ExitCode, exitCodes } from '../cli-errors.ts'
import { ago } from '../printable.ts'
import { named, type Style, titledTable } from '../table.ts'
import { type AskOptions, askNode } from './ask-node.ts'

export interface ListOptions extends AskOptions {
  readonly state?: JobState
  readonly limit?: string
}

const mostJobs = 1000

/** `skrei job list`: the newest jobs of a node. */
export const jobList = (options: ListOptions): Promise<ExitCode> =>
  askNode(options, async ({ client, event, say, style, width, signal }) => {
    const { state } = options
    const limit = Number(options.limit ?? 20)
    if (!Number.isInteger(limit) || limit < 1 || limit > mostJobs) throw cliError('usage', `--limit takes a whole number from 1 to ${mostJobs}`)
    const { jobs, next } = await client.jobs({ signal, limit, ...(state !== undefined && { state }) })
    event({ type: 'jobs', jobs, ...(next !== undefined && { next }) } as { readonly type: string })
    if (jobs.length === 0) say(style('dim', state === undefined ? 'no jobs' : `no jobs that are ${state}`))
    else
      say(
        titledTable(
          ['job', 'name', 'state', 'shards', 'submitted'],
          jobs.map((job) => row(job, style)),
          style,
          { width, free: [1, 2] },
        ),
      )
    if (next !== undefined) say(style('dim', `… and older ones: --limit ${Math.min(mostJobs, limit * 10)}`))
    return exitCodes.completed
  })

const colours: Readonly<Partial<Record<JobState, 'green' | 'red' | 'yellow' | 'cyan'>>> = {
  completed: 'green',
  failed: 'red',
  cancelled: 'yellow',
  running: 'cyan',
}

const row = ({ id, name, state, shards, failure, submittedAt }: Job, style: Style): readonly string[] => [
  named(id, 64),
  named(name, 32),
  `${style(colours[state] ?? 'reset', named(state))}${failure === undefined ? '' : `  ${named(failure.code)}`}`,
  shards === undefined ? '' : `${shards.completed}/${shards.total}${shards.failed > 0 ? `, ${shards.failed} failed` : ''}`,
  ago(Date.now() - submittedAt),
]
