import { type ApiClient, apiClient } from '@skrei/api/client'
import { cliError } from '../cli-errors.ts'
import { homeAt } from '../home.ts'
import { homePath } from '../home-path.ts'
import { runningNode } from '../node/api-file.ts'

/** How every client command names the node that it talks to. */
export interface NodeOption {
  readonly node?: string
}

/** A node that is started again is waited for, for some minutes, by what follows a job. Whether it is there at all is asked once, before. */
const retry = { attempts: 60, longest: 5000 }

/** The client of the node that is meant: `--node`, else SKREI_NODE, else the one that runs on SKREI_HOME. */
export const connect = ({ node }: NodeOption): ApiClient => {
  const given = node ?? process.env['SKREI_NODE']
  if (given !== undefined && given !== '') return clientOf(given, node === undefined ? 'SKREI_NODE' : '--node')
  const home = homePath()
  const running = runningNode(homeAt(home))
  if (running === undefined) throw cliError('no-node-named', `no node was named, and none runs on ${home}`)
  return apiClient({ url: running.url, retry })
}

const clientOf = (url: string, from: string): ApiClient => {
  const parsed = URL.canParse(url) ? new URL(url) : undefined
  if (parsed === undefined || !/^https?:$/.test(parsed.protocol) || parsed.username !== '' || parsed.search !== '' || parsed.hash !== '')
    throw cliError('node-url-invalid', `${from}: ${JSON.stringify(url.slice(0, 200))} is no URL of a node`)
  return apiClient({ url, retry })
}
