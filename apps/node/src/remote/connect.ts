import { type ApiClient, apiClient } from '@skrei/api/client'
import { cliError } from '../cli-errors.ts'
import { homeAt } from '../home.ts'
import { homePath } from '../home-path.ts'
import { runningNode } from '../node/api-file.ts'
import { patience } from './patience.ts'

/** How every client command names the node that it talks to. */
export interface NodeOption {
  readonly node?: string
}

/** The client of the node that is meant: `--node`, else SKREI_NODE, else the one that runs on SKREI_HOME. */
export const connect = ({ node }: NodeOption, tell: (line: string) => void = (line) => void process.stderr.write(`${line}\n`)): ApiClient => {
  const given = node ?? process.env['SKREI_NODE']
  // A variable that is empty is none. A flag that is names nothing, as where a script's variable is not set.
  if (given !== undefined && (given !== '' || node !== undefined)) return clientOf(given, node === undefined ? 'SKREI_NODE' : '--node', tell)
  const home = homePath()
  const running = runningNode(homeAt(home))
  if (running === undefined) throw cliError('no-node-named', `no node was named, and none runs on ${home}`)
  return apiClient({ url: running.url, ...patience(running.url, tell) })
}

const clientOf = (url: string, from: string, tell: (line: string) => void): ApiClient => {
  const parsed = URL.canParse(url) ? new URL(url) : undefined
  if (parsed === undefined || !/^https?:$/.test(parsed.protocol) || parsed.username !== '' || parsed.search !== '' || parsed.hash !== '')
    throw cliError('node-url-invalid', `${from}: ${JSON.stringify(url.slice(0, 200))} is no URL of a node`)
  if (/\/api\/v1\/?$/.test(parsed.pathname)) {
    const base = url.replace(/\/api\/v1\/?$/, '')
    throw cliError('node-url-invalid', `${from}: ${JSON.stringify(url.slice(0, 200))} is the path of the API: the node is at ${base.slice(0, 200)}`)
  }
  return apiClient({ url, ...patience(url, tell) })
}
