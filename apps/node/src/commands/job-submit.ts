import type { ExitCode } from '../cli-errors.ts'
import { cliError, exitCodes } from '../cli-errors.ts'
import { readJobFile } from '../job-file.ts'
import { checkLocalSources, localSourceOf } from '../local-sources.ts'
import { progress } from '../progress.ts'
import { submitRemote } from '../remote/remote-run.ts'
import { type AskOptions, askNode } from './ask-node.ts'
import { tellEnd } from './job-wait.ts'

export interface SubmitOptions extends AskOptions {
  readonly key?: string
  readonly wait?: true
}

/** `skrei job submit`: gives a job, with the files of this machine that it names, to a node. With --wait it ends as the job does. */
export const jobSubmit = (file: string, options: SubmitOptions): Promise<ExitCode> =>
  askNode(options, async (asking) => {
    if (options.key !== undefined && !/^[!-~]{1,256}$/.test(options.key))
      throw cliError('usage', '--key takes 1 to 256 printable ASCII characters without blanks')
    const { client, event, next, say, style, signal } = asking
    const job = await readJobFile(file, { signal })
    const local = localSourceOf(job)
    await checkLocalSources(job, local, { signal })
    const { nodeId } = await client.health({ signal })
    const { job: accepted, created } = await (async () => {
      using display = progress(process.stderr)
      const emit = (told: Parameters<typeof display.show>[0]): void => {
        event(told)
        display.show(told)
      }
      return await submitRemote({ client, job, local }, { signal, emit, ...(options.key !== undefined && { key: options.key }) })
    })()
    const { id, name, specCid } = accepted
    event({ type: 'submitted', jobId: id, name, specCid, node: nodeId, created } as { readonly type: string })
    asking.about(id, `wait ${id}`)
    if (options.wait) return await tellEnd(asking, await client.finished(id, { signal }))
    say([
      `job ${id}${created ? '' : `  ${style('yellow', `was submitted before with this key: ${accepted.state}`)}`}`,
      ...[`describe ${id}`, `logs ${id} --follow`, `wait ${id}`].map((words) => `  ${style('dim', next(words))}`),
    ])
    return exitCodes.completed
  })
