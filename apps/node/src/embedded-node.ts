import { availableParallelism } from 'node:os'
import { join } from 'node:path'
import type { Reference } from '@skrei/job-spec'
import { checkSignature, type Identity } from '@skrei/protocol'
import { createScheduler, type Logger, type Scheduler } from '@skrei/scheduler'
import { sqliteStateStore } from '@skrei/state-store/sqlite'
import type { Publisher, Source } from '@skrei/storage'
import { inlineSource } from '@skrei/storage/inline'
import { localPublisher, localWorkspace } from '@skrei/storage/local'
import { httpsSource } from '@skrei/storage-https'
import { ipfsStorage } from '@skrei/storage-ipfs'
import { memoryNetwork } from '@skrei/transport/memory'
import { systemClock } from '@skrei/transport/system-clock'
import { v7 as uuid } from 'uuid'
import { embeddedCapacity, embeddedLabels } from './capacity.ts'
import { engines } from './engines.ts'
import type { Home } from './home.ts'

export interface EmbeddedNodeOptions {
  readonly home: Home
  /** The folder of this process: state, workspace, what the engines keep. */
  readonly runFolder: string
  readonly identity: Identity
  /** The source `local` of this job: what it allows and what paths are relative to. */
  readonly local: Source
  readonly allowPrivateAddresses: boolean
  readonly logger: Logger
}

/** A whole node in this process: it asks itself, bids, runs and publishes. Opens no port. */
export interface EmbeddedNode extends AsyncDisposable {
  readonly scheduler: Scheduler
  /** The publisher that can fetch a reference. */
  publisherOf(reference: Reference): Publisher | undefined
}

export const startEmbeddedNode = async (options: EmbeddedNodeOptions): Promise<EmbeddedNode> => {
  const { home, runFolder, identity, logger } = options
  const parts = disposables()
  try {
    const clock = systemClock()
    const store = parts.own(sqliteStateStore({ path: join(runFolder, 'state.sqlite') }))
    // Not flushed block by block: the copy in the result directory is not either, and what a power cut takes is run again.
    const ipfs = parts.own(ipfsStorage({ directory: home.blocks, sync: false }))
    await ipfs.start()
    const transport = parts.own(memoryNetwork({ clock, seed: 'embedded' }).join(identity.nodeId))
    const executors = engines(runFolder, Math.min(2, availableParallelism())).map(parts.own)
    // A source that does not answer is told within a minute, not after ten.
    const https = parts.own(httpsSource({ allowPrivateAddresses: options.allowPrivateAddresses, connectTimeout: 5000, silenceTimeout: 10_000, attempts: 2 }))
    const publishers = [ipfs.publisher, localPublisher({ directory: home.published })]
    const scheduler = parts.own(
      createScheduler({
        network: 'embedded',
        identity,
        check: checkSignature,
        clock,
        random: Math.random,
        jobId: () => uuid(),
        store,
        transport,
        workspace: localWorkspace({ directory: join(runFolder, 'workspace') }),
        sources: [options.local, inlineSource(), https, ipfs.source],
        publishers,
        compute: { executors, capacity: await embeddedCapacity(home.path), labels: embeddedLabels() },
        logger,
      }),
    )
    await scheduler.start()
    return {
      scheduler,
      publisherOf: (reference) => publishers.find(({ type }) => type === reference.type),
      [Symbol.asyncDispose]: parts.dispose,
    }
  } catch (error) {
    await parts.dispose()
    throw error
  }
}

/** What the node is made of, ended in reverse order. Node 22 has no AsyncDisposableStack. */
const disposables = () => {
  const owned: Partial<Disposable & AsyncDisposable>[] = []
  return {
    own: <T extends Partial<Disposable & AsyncDisposable>>(part: T): T => {
      owned.push(part)
      return part
    },
    dispose: async (): Promise<void> => {
      for (let part = owned.pop(); part !== undefined; part = owned.pop()) {
        if (part[Symbol.asyncDispose] === undefined) part[Symbol.dispose]?.()
        else await part[Symbol.asyncDispose]?.()
      }
    },
  }
}

/** Ends whatever a process that died left running in its run folder. */
export const reapEngines = async (runFolder: string): Promise<void> => {
  for (const executor of engines(runFolder, 0)) {
    for await (const id of executor.leftovers()) await executor.remove(id)
    await executor[Symbol.asyncDispose]?.()
  }
}
