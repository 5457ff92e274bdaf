import { join } from 'node:path'
import type { Capacity, Reference } from '@skrei/job-spec'
import { checkSignature, type Identity } from '@skrei/protocol'
import { createScheduler, type Logger, type Scheduler, type Settings } from '@skrei/scheduler'
import { sqliteStateStore } from '@skrei/state-store/sqlite'
import type { Publisher, Source } from '@skrei/storage'
import { inlineSource } from '@skrei/storage/inline'
import { localWorkspace } from '@skrei/storage/local'
import { type HttpsSourceOptions, httpsSource } from '@skrei/storage-https'
import { type IpfsStorage, type IpfsStorageOptions, ipfsStorage } from '@skrei/storage-ipfs'
import type { Clock, Transport } from '@skrei/transport'
import { systemClock } from '@skrei/transport/system-clock'
import type { Engine } from '../engines.ts'
import { disposables } from './disposables.ts'

export interface NodeSetup<Link extends Transport = Transport> {
  readonly network: string
  readonly identity: Identity
  /** Of this node alone: its state, its workspace. */
  readonly folder: string
  readonly logger: Logger
  readonly jobId: () => string
  /** Made, not started. */
  readonly transport: (clock: Clock) => Promise<Link> | Link
  /** Absent: the node has nothing to do with IPFS. Given the transport, which has started. */
  readonly ipfs?: ((transport: Link) => IpfsStorageOptions) | undefined
  readonly https: HttpsSourceOptions
  /** The source `local`, where the node has one. */
  readonly local?: Source | undefined
  /** Besides `ipfs` and `none`. */
  readonly publishers: readonly Publisher[]
  readonly compute?:
    | {
        readonly engines: readonly Engine[]
        readonly capacity: Capacity
        readonly labels: Readonly<Record<string, string>>
      }
    | undefined
  readonly settings?: Partial<Settings>
}

/** A node and what it is made of. Disposed of, it stops: what runs is recorded, and taken up by the next start over the same folder. */
export interface MadeNode<Link extends Transport = Transport> extends AsyncDisposable {
  readonly scheduler: Scheduler
  readonly transport: Link
  readonly ipfs: IpfsStorage | undefined
  readonly sources: readonly Source[]
  readonly publishers: readonly Publisher[]
  /** The publisher that can fetch a reference. */
  publisherOf(reference: Reference): Publisher | undefined
}

/** A started node out of its parts: the one place where they are put together, for the node in this process and for the one that is a process. */
export const makeNode = async <Link extends Transport>(setup: NodeSetup<Link>): Promise<MadeNode<Link>> => {
  const { identity, folder } = setup
  const parts = disposables()
  try {
    const clock = systemClock()
    const store = parts.own(sqliteStateStore({ path: join(folder, 'state.sqlite') }))
    const transport = parts.own(await setup.transport(clock))
    await transport.start()
    const ipfs = setup.ipfs && parts.own(ipfsStorage(setup.ipfs(transport)))
    await ipfs?.start()
    for (const engine of setup.compute?.engines ?? []) parts.own(engine)
    const https = parts.own(httpsSource(setup.https))
    const sources = [...(setup.local ? [setup.local] : []), inlineSource(), https, ...(ipfs ? [ipfs.source] : [])]
    const publishers = [...(ipfs ? [ipfs.publisher] : []), ...setup.publishers]
    const scheduler = parts.own(
      createScheduler({
        network: setup.network,
        identity,
        check: checkSignature,
        clock,
        random: Math.random,
        jobId: setup.jobId,
        store,
        transport,
        workspace: localWorkspace({ directory: join(folder, 'workspace') }),
        sources,
        publishers,
        ...(setup.compute && { compute: { executors: setup.compute.engines, capacity: setup.compute.capacity, labels: setup.compute.labels } }),
        ...(setup.settings && { settings: setup.settings }),
        logger: setup.logger,
      }),
    )
    await scheduler.start()
    return {
      scheduler,
      transport,
      ipfs,
      sources,
      publishers,
      publisherOf: (reference) => publishers.find(({ type }) => type === reference.type),
      [Symbol.asyncDispose]: parts.dispose,
    }
  } catch (error) {
    await parts.dispose()
    throw error
  }
}
