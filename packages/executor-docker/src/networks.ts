import { createHash } from 'node:crypto'
import type { RunRequest } from '@skrei/executor'
import type { Refusal, Task } from '@skrei/job-spec'
import { bridgeName, bridgePrefix } from './container-name.ts'
import { isCovered } from './domains.ts'
import { type EngineClient, engineStatus } from './engine-client.ts'
import { type FirewallRules, guardBridges } from './firewall.ts'
import { httpProxy, type ProxyOptions } from './http-proxy.ts'
import type { NetworkOptions } from './options.ts'

/** What an execution's container is given of the network. Disposing of it closes the proxy; the network itself stays until it is removed. */
export interface Attachment extends AsyncDisposable {
  readonly mode: string
  readonly env: Readonly<Record<string, string>>
  readonly hostConfig: Readonly<Record<string, unknown>>
}

export interface Networks {
  assess(network: Task['network']): Promise<readonly Refusal[]>
  /** The network of a container that is not there yet. */
  attach(request: RunRequest, container: string, labels: Readonly<Record<string, string>>): Promise<Attachment>
  /** That of a container which a former process of this node started. */
  attachAgain(request: RunRequest, container: string): Promise<Attachment>
}

/** For tests: what sets the rules, and what resolves names. */
export interface NetworkSeams {
  readonly guard?: (rules: FirewallRules) => Promise<void>
  readonly resolve?: ProxyOptions['resolve']
}

export const noNetwork: Attachment = { mode: 'none', env: {}, hostConfig: {}, [Symbol.asyncDispose]: async () => undefined }
const full: Attachment = { ...noNetwork, mode: 'bridge' }

/** Where the program finds the proxy: the same name on every node. */
const proxyHost = 'proxy.skrei'
const mostTries = 64
/** RFC 5737: an address that is nobody's. The engine's resolver forwards what it does not know: here it comes to nothing, and no name leaks out that way. */
const nowhere = '192.0.2.1'

export const networks = (engine: EngineClient, options: NetworkOptions = {}, seams: NetworkSeams = {}): Networks => {
  const http = options.http === true ? {} : options.http === false || options.http === undefined ? undefined : options.http
  const port = http?.port ?? 3128
  const pool = http?.pool ?? '10.213'
  const guard = () => (seams.guard ?? guardBridges)({ prefix: bridgePrefix, subnet: `${pool}.0.0/16`, port })

  const proxied = async ({ task }: RunRequest, container: string, gateway: string): Promise<Attachment> => {
    const proxy = await httpProxy({
      address: gateway,
      port,
      domains: task.network.domains ?? [],
      ports: http?.ports ?? [80, 443],
      privateAddresses: http?.privateAddresses ?? false,
      ...(seams.resolve && { resolve: seams.resolve }),
    })
    const url = `http://${proxyHost}:${port}`
    return {
      mode: container,
      env: Object.fromEntries(['HTTP_PROXY', 'HTTPS_PROXY'].flatMap((name) => [name, name.toLowerCase()]).map((name) => [name, url])),
      hostConfig: { ExtraHosts: [`${proxyHost}:${gateway}`], Dns: [nowhere], DnsSearch: ['.'] },
      [Symbol.asyncDispose]: () => proxy[Symbol.asyncDispose](),
    }
  }

  return {
    assess: async ({ mode, domains }) => {
      const refused = (detail: string): readonly Refusal[] => [{ code: 'network-unsupported', detail }]
      if (mode === 'none') return []
      if (mode === 'full') return options.full === true ? [] : refused('this node gives no job the full network')
      if (http === undefined) return refused('this node gives no job the network, not even over HTTP')
      if (domains === undefined || domains.length === 0)
        return [{ code: 'task-unsupported', detail: 'network.mode is http, and network.domains names nothing that could be reached' }]
      const beyond = domains.find((domain) => http.domains !== undefined && !isCovered(domain, http.domains))
      if (beyond !== undefined) return refused(`this node gives no job the domain ${beyond}`)
      try {
        await guard()
      } catch (error) {
        return refused(`this node cannot keep a job to its domains: ${error instanceof Error ? error.message.trim().slice(0, 500) : String(error)}`)
      }
      return []
    },

    attach: async (request, container, labels) => {
      if (request.task.network.mode === 'none') return noNetwork
      if (request.task.network.mode === 'full') return full
      // Nothing may run on such a network before it is guarded.
      await guard()
      const start = createHash('sha256').update(container).digest().readUInt16BE(0)
      for (let tries = 0; ; tries++) {
        const { subnet, gateway } = slice(pool, start + tries)
        try {
          await engine.createNetwork({ name: container, bridge: bridgeName(container), subnet, gateway, labels })
          return await proxied(request, container, gateway)
        } catch (error) {
          await engine.removeNetwork(container).catch(() => undefined)
          // Somebody else has this slice of the addresses.
          if (engineStatus(error) === undefined || tries >= mostTries) throw error
        }
      }
    },

    attachAgain: async (request, container) => {
      if (request.task.network.mode === 'none') return noNetwork
      if (request.task.network.mode === 'full') return full
      await guard()
      const gateway = (await engine.network(container))?.gateway
      if (gateway === undefined) throw new Error(`the network of the container ${container} is gone`)
      return proxied(request, container, gateway)
    },
  }
}

/** A network of eight addresses: the pool has 8192 of them. */
const slice = (pool: string, index: number): { readonly subnet: string; readonly gateway: string } => {
  const first = (index % 8192) * 8
  const address = (offset: number) => `${pool}.${(first + offset) >> 8}.${(first + offset) & 255}`
  return { subnet: `${address(0)}/29`, gateway: address(1) }
}
