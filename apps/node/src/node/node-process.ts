import { existsSync } from 'node:fs'
import { availableParallelism } from 'node:os'
import type { NodeService } from '@skrei/api'
import type { Logger } from '@skrei/scheduler'
import { OptionError, StartError } from '@skrei/scheduler'
import { localPublisher, localSource } from '@skrei/storage/local'
import { type FaultPlace, libp2pTransport } from '@skrei/transport-libp2p'
import { v7 as uuid } from 'uuid'
import { machineCapacity, machineLabels } from '../capacity.ts'
import { cliError } from '../cli-errors.ts'
import type { NodeConfig } from '../config/config-schema.ts'
import { dockerPolicy } from '../docker-policy.ts'
import { engines, enginesHere } from '../engines.ts'
import { lockFile } from '../file-lock.ts'
import type { Home } from '../home.ts'
import { openIdentity } from '../identity.ts'
import { makeDirectory } from '../make-directory.ts'
import { nodeMetrics } from '../service/node-metrics.ts'
import { jobIds, nodeService } from '../service/node-service.ts'
import { calmLog } from './calm-log.ts'
import { disposables } from './disposables.ts'
import { makeNode } from './make-node.ts'
import { nodeLinks } from './node-links.ts'
import { peerWatch } from './peer-watch.ts'
import { keepPorts, lastPorts } from './ports-file.ts'

export interface NodeProcessOptions {
  readonly home: Home
  readonly config: NodeConfig
  readonly version: string
  readonly logger: Logger
}

/** A node that other nodes and clients talk to, over the folder of its home, which it holds alone. Disposed of, it stops and lets go of the home. */
export interface NodeProcess extends AsyncDisposable {
  readonly nodeId: string
  readonly service: NodeService
  /** Where other nodes reach it. */
  readonly addresses: readonly string[]
  /** Resolves once another node lives with this one's key. */
  readonly duplicate: Promise<void>
  /** Executions that run here now, and those that are done and kept for their requesters. */
  standing(): { readonly executions: number; readonly kept: number }
  /** Takes no new jobs and asks; resolves when nothing runs here any more, or rejects with the signal's reason. */
  drain(signal: AbortSignal): Promise<void>
}

/** What the transport tells of its peers, in the log. One that is gone is no fault of this node. */
const faults: Readonly<Record<FaultPlace, readonly ['debug' | 'info' | 'warn', string]>> = {
  dial: ['debug', 'a peer was not reached'],
  stream: ['info', 'the stream of a peer was closed'],
  receive: ['warn', 'messages of a peer could not be applied'],
  hint: ['warn', 'a hint of a peer could not be taken'],
  serve: ['warn', 'a query of a peer could not be answered'],
}

/** How long a start waits for the lock: a client that looks whether a node runs holds it for a moment. Milliseconds. */
const lockTimeout = 1000

export const startNodeProcess = async ({ home, config, version, logger: log }: NodeProcessOptions): Promise<NodeProcess> => {
  const logger = calmLog(log)
  const parts = disposables()
  try {
    const lock = lockFile(home.nodeLock, lockTimeout)
    if (lock === undefined) throw cliError('duplicate-identity', `a node runs on ${home.path} already`)
    parts.own({ [Symbol.dispose]: () => lock.release() })
    makeDirectory(home.node, 0o700)
    const identity = openIdentity(home)
    tellMissing(config, logger)
    const ids = jobIds(() => uuid())
    const listen = await lastPorts(home, config.listen, logger)
    const wanted = peerWatch({ addresses: config.peers, logger, now: () => performance.now() })
    const node = parts.own(
      await makeNode({
        network: config.network,
        identity,
        folder: home.node,
        logger,
        jobId: ids.next,
        transport: (clock) =>
          libp2pTransport({
            privateKey: identity.exportPrivateKey(),
            listen,
            announce: config.announce,
            peers: config.peers,
            clock,
            onFault: (error, peer, place) => {
              const [level, message] = faults[place]
              logger[level](message, { peer, error: String(error) })
              if (place === 'dial') wanted.failed(peer, error)
            },
          }),
        ipfs: config.ipfs ? ({ libp2p }) => ({ directory: home.blocks, libp2p, maxAddedBytes: config.api.totalBlobBytes }) : undefined,
        https: { allowPrivateAddresses: config.allow.privateAddresses },
        local: config.allow.localPaths.length > 0 ? localSource({ allow: config.allow.localPaths }) : undefined,
        publishers: config.publishers.local === undefined ? [] : [localPublisher({ directory: config.publishers.local })],
        compute: config.compute
          ? {
              // Requesters are strangers to each other: no guest meets anything of another's.
              engines: await engines(home.node, {
                warm: Math.min(2, availableParallelism()),
                runsPerProcess: 1,
                names: config.engines ?? (await enginesHere()),
                docker: dockerPolicy(config, identity.nodeId),
              }),
              capacity: { ...(await machineCapacity(home.path)), ...definedOf(config.capacity) },
              labels: { ...machineLabels(), ...config.labels },
            }
          : undefined,
        settings: config.settings,
      }),
    )
    const { scheduler, transport } = node
    if (config.announce.length === 0) keepPorts(home, config.listen, transport.addresses())
    const links = nodeLinks(transport, config.peers)
    parts.own(wanted.start((peer) => transport.peer(peer)?.connected ?? true))
    const metrics = parts.own(
      nodeMetrics({ scheduler, version, network: config.network, knownNodes: () => scheduler.nodes().length, connectedPeers: links.connected }),
    )
    const duplicate = Promise.withResolvers<void>()
    const trusted = new Set([identity.nodeId, ...config.peers.map((address) => address.slice(address.lastIndexOf('/') + 1))])
    parts.own(
      scheduler.watch((event) => {
        // Its own announcement, signed, proves it. Of a peer it is a mere word, and no stranger ends this node by one: only those that its operator named.
        if (event.type === 'duplicate-identity' && trusted.has(event.node)) duplicate.resolve()
      }),
    )
    let isDraining = false
    return {
      nodeId: identity.nodeId,
      service: nodeService({ node, config, version, startedAt: Date.now(), links, metrics, jobIds: ids, draining: () => isDraining }),
      addresses: links.addresses(),
      duplicate: duplicate.promise,
      standing: () => {
        const { executions = 0, kept = 0 } = scheduler.standing()
        return { executions, kept }
      },
      drain: async (signal) => {
        isDraining = true
        await scheduler.drain({ signal })
      },
      [Symbol.asyncDispose]: parts.dispose,
    }
  } catch (error) {
    await parts.dispose()
    throw explained(error)
  }
}

/** A directory may come later, as one that is mounted does: it is told, and no reason not to start. */
const tellMissing = ({ allow, publishers }: NodeConfig, logger: Logger): void => {
  const named = [
    ...allow.localPaths.map((path) => ['allow.localPaths', path]),
    ...(publishers.local === undefined ? [] : [['publishers.local', publishers.local]]),
  ]
  for (const [setting, path] of named)
    if (path !== undefined && !existsSync(path)) logger.warn('a directory of the configuration is not there, or cannot be seen', { setting, path })
}

const definedOf = <T extends object>(fields: T): { readonly [K in keyof T]?: Exclude<T[K], undefined> } =>
  Object.fromEntries(Object.entries(fields).filter(([, value]) => value !== undefined)) as { readonly [K in keyof T]?: Exclude<T[K], undefined> }

/** What its operator can set right is told as such. */
const explained = (error: unknown): unknown => {
  if (error instanceof OptionError || error instanceof StartError) return cliError('config-invalid', error.message, { cause: error })
  if (error instanceof Error && /EADDRINUSE|EADDRNOTAVAIL|EACCES|UnsupportedListenAddresses|UnsupportedListenAddress/.test(`${error.name} ${error.message}`))
    return cliError('address-unusable', unusable(error.message), { cause: error })
  return error
}

/** Of libp2p's message, which holds stack traces and advice for programs, what its operator can use: which addresses, and why. */
const unusable = (message: string): string => {
  const refused = [...message.matchAll(/(\/ip[46]\/\S+?): (?:\w+: )?listen (E[A-Z]+)/g)].map(([, address, code]) => `${address}: ${code}`)
  return refused.length === 0 ? message : `other nodes cannot reach this one: it cannot listen on ${refused.join(', ')}`
}
