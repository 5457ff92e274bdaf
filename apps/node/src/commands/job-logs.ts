import { once } from 'node:events'
import type { LogChunk } from '@skrei/api/client'
import { cliError, type ExitCode, exitCodes, systemCode } from '../cli-errors.ts'
import { oneLine, printable } from '../printable.ts'
import { type AskOptions, askNode } from './ask-node.ts'

export interface LogsOptions extends AskOptions {
  readonly shard?: string
  readonly stdout?: true
  readonly stderr?: true
  readonly follow?: true
}

/** `skrei job logs`: what a shard wrote, to standard output and standard error, byte for byte; on a terminal nothing of it steers the terminal. */
export const jobLogs = (id: string, options: LogsOptions): Promise<ExitCode> =>
  askNode(
    options,
    async ({ client, json, signal, style }) => {
      const shard = Number(options.shard ?? 0)
      if (!Number.isInteger(shard) || shard < 0) throw cliError('usage', '--shard takes the index of a shard, from 0')
      const only = options.stdout === options.stderr ? undefined : options.stdout ? 'stdout' : 'stderr'
      const follow = options.follow === true
      const gone = new AbortController()
      const reading = AbortSignal.any([signal, gone.signal])
      const lost = (error: Error): void => {
        if (systemCode(error) === 'EPIPE') gone.abort()
      }
      for (const stream of [process.stdout, process.stderr]) stream.on('error', lost)
      const write = writer(json, reading)
      let execution: string | undefined
      try {
        const job = await client.job(id, { signal: reading })
        const chunks = client.logs(job.id, { shard, follow, signal: reading, ...(only !== undefined && { stream: only }) })
        for await (const chunk of chunks) {
          // Only another attempt of the shard begins anew.
          if (!json && execution !== undefined && execution !== chunk.execution)
            process.stderr.write(`${style('dim', `— from here on another execution, on ${oneLine(chunk.node)} —`)}\n`)
          execution = chunk.execution
          await write(chunk, shard)
        }
      } catch (error) {
        // Whoever read what was written (`skrei job logs ID | head`) wants no more of it.
        if (!gone.signal.aborted) throw error
      } finally {
        for (const stream of [process.stdout, process.stderr]) stream.off('error', lost)
      }
      return exitCodes.completed
    },
    options.follow ? 'interrupted; the job goes on, where it is not over' : undefined,
  )

/** Writes no faster than what it writes to is read. */
const writer = (json: boolean, signal: AbortSignal): ((chunk: LogChunk, shard: number) => Promise<void>) => {
  const decoders = { stdout: new TextDecoder(), stderr: new TextDecoder() }
  const put = async (stream: NodeJS.WriteStream, content: string | Uint8Array): Promise<void> => {
    if (!stream.write(content)) await once(stream, 'drain', { signal })
  }
  return async ({ execution, node, stream, offset, bytes }, shard) => {
    if (json) return await put(process.stdout, `${JSON.stringify({ type: 'log', shard, execution, node, stream, offset, ...content(bytes) })}\n`)
    const to = process[stream]
    await put(to, to.isTTY ? printable(decoders[stream].decode(bytes, { stream: true })) : bytes)
  }
}

const utf8 = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true })

const content = (bytes: Uint8Array): { readonly text: string } | { readonly base64: string } => {
  try {
    return { text: utf8.decode(bytes) }
  } catch {
    return { base64: Buffer.from(bytes).toString('base64') }
  }
}
