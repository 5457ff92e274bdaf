import { resolve } from 'node:path'
import { type CliError, cliError, type ExitCode, exitCodes } from '../cli-errors.ts'
import { type ConfigFlag, readConfig } from '../config/read-config.ts'
import { type Home, openHome } from '../home.ts'
import { homePath } from '../home-path.ts'
import { type Interrupts, interrupts } from '../interrupts.ts'
import { fail } from './fail.ts'

/** As commander gives them. */
export interface NodeStartOptions {
  readonly config?: string
  readonly network?: string
  readonly requesterOnly?: true
  readonly computeOnly?: true
  readonly listen?: readonly string[]
  readonly peer?: readonly string[]
  readonly apiHost?: string
  readonly apiPort?: string
  readonly ipfs?: boolean
  readonly label?: readonly string[]
  readonly allowLocalPath?: readonly string[]
  readonly allowPrivateAddresses?: true
  readonly logLevel?: string
  readonly json?: true
}

/** The JSON events of `skrei node start --json`. What is wrong before it is ready is a `result` event, as of every command. */
type NodeEvent =
  | {
      readonly type: 'ready'
      readonly nodeId: string
      readonly network: string
      /** Where clients reach it. */
      readonly api: string
      /** Where other nodes reach it. */
      readonly addresses: readonly string[]
      readonly pid: number
      readonly home: string
    }
  /** The first signal came: how many executions still run here, and how many are done and kept for their requesters. */
  | { readonly type: 'draining'; readonly executions: number; readonly kept: number }
  | { readonly type: 'stopped' }

/** `skrei node start`: a node that lives until it is told to end. Returns the exit code; whatever happens, it has been told. */
export const nodeStart = async (options: NodeStartOptions, version: string): Promise<ExitCode> => {
  const json = options.json === true
  using interrupt = interrupts()
  const people = json ? process.stderr : process.stdout
  const tell = (event: NodeEvent, text: string): void => {
    people.write(`${text}\n`)
    if (json) process.stdout.write(`${JSON.stringify(event)}\n`)
  }
  try {
    const home = openHome(homePath())
    const config = readConfig({ home: home.path, file: options.config, environment: process.env, flags: flagsOf(options) })
    return await runNode({ home, config, version, interrupt, tell })
  } catch (error) {
    const told = interrupt.first.aborted && !isCliError(error) ? cliError('cancelled', 'interrupted', { cause: error }) : error
    return fail(told, json)
  }
}

const isCliError = (error: unknown): error is CliError => error instanceof Error && error.name === 'CliError'

interface NodeRun {
  readonly home: Home
  readonly config: ReturnType<typeof readConfig>
  readonly version: string
  readonly interrupt: Interrupts
  readonly tell: (event: NodeEvent, text: string) => void
}

const runNode = async ({ home, config, version, interrupt, tell }: NodeRun): Promise<ExitCode> => {
  // A configuration that is wrong is told before a node is loaded.
  const [{ startNodeProcess }, { nodeLog }, { serveNode }, { settleMemory }] = await Promise.all([
    import('../node/node-process.ts'),
    import('../node/node-log.ts'),
    import('../node/serve-node.ts'),
    import('../node/settle-memory.ts'),
  ])
  const logger = nodeLog(config.log, process.stderr)
  // A second signal ends at once: everything is written as it happens, and nothing of an execution outlives this process.
  let forget = (): void => undefined
  interrupt.second.addEventListener('abort', () => {
    forget()
    process.exit(exitCodes.cancelled)
  })
  await using node = await startNodeProcess({ home, config, version, logger })
  await using served = await serveNode({ home, config, logger, node })
  forget = served.forget
  if (!interrupt.first.aborted) {
    const { nodeId, addresses } = node
    const listening = addresses.length === 0 ? 'not listening for other nodes' : `other nodes reach it at ${addresses.join(' ')}`
    tell(
      { type: 'ready', nodeId, network: config.network, api: served.url, addresses, pid: process.pid, home: home.path },
      `node ${nodeId} is ready: its API is at ${served.url}, ${listening}`,
    )
    settleMemory()
  }
  const ended = Promise.withResolvers<'signal' | 'duplicate'>()
  interrupt.first.addEventListener('abort', () => ended.resolve('signal'))
  if (interrupt.first.aborted) ended.resolve('signal')
  void node.duplicate.then(() => ended.resolve('duplicate'))
  if ((await ended.promise) === 'duplicate') {
    const remedy = 'another node lives with the key of this one, and started later: this one is not heard any more'
    throw cliError('duplicate-identity', `${remedy} (${node.nodeId})`)
  }
  const { executions, kept } = node.standing()
  const runs = executions === 1 ? '1 execution runs' : `${executions} executions run`
  const waits = kept === 0 ? '' : `, ${kept} ${kept === 1 ? 'is done and waits for its requester' : 'are done and wait for their requesters'}`
  tell(
    { type: 'draining', executions, kept },
    `ending: nothing new is taken; ${runs} here${waits}, for ${config.drain / 1000} s at most. A second signal ends at once`,
  )
  await drained(node.drain(AbortSignal.timeout(config.drain)))
  await served[Symbol.asyncDispose]()
  await node[Symbol.asyncDispose]()
  tell({ type: 'stopped' }, 'the node has ended')
  return exitCodes.completed
}

/** What still runs when the time is over is taken up by the next start. */
const drained = async (draining: Promise<void>): Promise<void> => {
  try {
    await draining
  } catch (error) {
    if (!(error instanceof DOMException) || error.name !== 'TimeoutError') throw error
  }
}

/** Flags are settings: where each of them stands in the configuration. */
const flagsOf = (options: NodeStartOptions): readonly ConfigFlag[] => {
  const flags: ConfigFlag[] = []
  const add = (flag: string, path: string, value: ConfigFlag['value'] | undefined): void => {
    if (value !== undefined) flags.push({ flag, path: path.split('.'), value })
  }
  add('--network', 'network', options.network)
  add('--requester-only', 'roles', options.requesterOnly && ['requester'])
  add('--compute-only', 'roles', options.computeOnly && ['compute'])
  add('--listen', 'listen', options.listen)
  add('--peer', 'peers', options.peer)
  add('--api-host', 'api.host', options.apiHost)
  add('--api-port', 'api.port', options.apiPort)
  add('--no-ipfs', 'ipfs', options.ipfs === false ? 'false' : undefined)
  add('--label', 'labels', options.label)
  add(
    '--allow-local-path',
    'allow.localPaths',
    options.allowLocalPath?.map((path) => resolve(path)),
  )
  add('--allow-private-addresses', 'allow.privateAddresses', options.allowPrivateAddresses)
  add('--log-level', 'log.level', options.logLevel)
  return flags
}
