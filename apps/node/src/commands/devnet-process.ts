import { dirname } from 'node:path'
import { CliError, cliError, type ExitCode, exitCodes } from '../cli-errors.ts'
import { readConfig } from '../config/read-config.ts'
import type { DevnetMessage } from '../devnet/messages.ts'
import { removeHomes } from '../devnet/remove-homes.ts'
import { openHome } from '../home.ts'
import { disposables } from '../node/disposables.ts'
import { nodeLog } from '../node/node-log.ts'
import { startNodeProcess } from '../node/node-process.ts'
import { serveNode } from '../node/serve-node.ts'
import { fail } from './fail.ts'

export interface DevnetProcessOptions {
  /** The homes go with the network. */
  readonly temporary?: true
}

/**
 * `skrei devnet-process`, which only `skrei devnet` calls: the nodes of these homes, as `skrei node start` starts them, in this process. They end with SIGTERM, or when whoever started them is gone,
 * however that ended.
 */
export const devnetProcess = async (homes: readonly string[], options: DevnetProcessOptions, version: string): Promise<ExitCode> => {
  // It removes the folder of its homes when nobody holds the other end: by hand that would be anybody's folder.
  if (process.send === undefined) return fail(cliError('usage', 'devnet-process is for `skrei devnet` alone'), false)
  const ending = new AbortController()
  const end = (): void => ending.abort()
  process.once('SIGTERM', end)
  process.once('disconnect', end)
  // It may be gone before anybody listens.
  if (!process.connected) end()
  // Ctrl-C in a terminal reaches the whole network: the parent decides.
  for (const signal of ['SIGINT', 'SIGHUP'] as const) process.on(signal, () => {})
  const tell = (message: DevnetMessage): void => {
    // A parent that has just gone gets nothing.
    if (process.connected) process.send?.(message, undefined, undefined, () => {})
  }
  const nodes = disposables()
  try {
    for (const path of homes) {
      if (ending.signal.aborted) break
      try {
        const home = openHome(path)
        const config = readConfig({ home: home.path, environment: {}, flags: [] })
        const logger = nodeLog(config.log, process.stderr)
        const node = nodes.own(await startNodeProcess({ home, config, version, logger }))
        const { url } = nodes.own(await serveNode({ home, config, logger, node }))
        tell({ type: 'ready', home: path, nodeId: node.nodeId, api: url, addresses: node.addresses })
      } catch (error) {
        const [code, message] = error instanceof CliError ? [error.problems[0].code, error.message] : ['internal', String(error)]
        tell({ type: 'failed', home: path, code, message })
        return exitCodes.failed
      }
    }
    if (!ending.signal.aborted) await new Promise((resolve) => ending.signal.addEventListener('abort', resolve))
    return exitCodes.completed
  } finally {
    await nodes.dispose()
    const [home] = homes
    if (options.temporary && home !== undefined && !process.connected) removeHomes(dirname(home))
    if (process.connected) process.disconnect()
  }
}
