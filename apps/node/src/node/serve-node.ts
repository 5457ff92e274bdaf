import { serveApi } from '@skrei/api'
import type { Logger } from '@skrei/scheduler'
import { cliError, systemCode } from '../cli-errors.ts'
import type { NodeConfig } from '../config/config-schema.ts'
import type { Home } from '../home.ts'
import { removeApiFile, writeApiFile } from './api-file.ts'
import type { NodeProcess } from './node-process.ts'
import { keepApiPort, lastApiPort } from './ports-file.ts'

export interface ServedNode extends AsyncDisposable {
  readonly url: string
  /** Takes back, at once, that clients find the node here. */
  forget(): void
}

/** Opens the API of a node, and says in its home where. */
export const serveNode = async (options: {
  readonly home: Home
  readonly config: NodeConfig
  readonly logger: Logger
  readonly node: NodeProcess
}): Promise<ServedNode> => {
  const { home, config, logger, node } = options
  const { host, port, hosts, origins, blobBytes } = config.api
  removeApiFile(home)
  const serve = (at: number) =>
    serveApi(node.service, {
      host,
      port: at,
      hosts,
      origins,
      limits: { blobBytes },
      onFault: (error) => logger.error('a request failed by the fault of the node', { error }),
    })
  // Whoever was told an address that the system chose finds the node there again.
  const last = port === 0 ? lastApiPort(home, host) : undefined
  const again =
    last === undefined
      ? undefined
      : await serve(last).catch((error: unknown) => {
          if (systemCode(error) === undefined) throw error
          logger.warn('the port of the API at the last start is not free, another is taken', { host, port: last })
          return undefined
        })
  const served =
    again ??
    (await serve(port).catch((error: unknown) => {
      const code = systemCode(error)
      if (code === undefined) throw error
      throw cliError('address-unusable', `the API cannot listen on ${host}:${port}: ${code}`, { cause: error })
    }))
  if (port === 0) keepApiPort(home, host, served.port)
  writeApiFile(home, { url: served.url, nodeId: node.nodeId, pid: process.pid })
  return {
    url: served.url,
    forget: () => removeApiFile(home),
    [Symbol.asyncDispose]: async () => {
      removeApiFile(home)
      await served[Symbol.asyncDispose]()
    },
  }
}
