import { join } from 'node:path'
import type { Executor } from '@skrei/executor'
import { noopExecutor } from '@skrei/executor/noop'
import { wasmExecutor } from '@skrei/executor-wasm'
import type { Reference } from '@skrei/job-spec'
import { checkSignature, type Identity } from '@skrei/protocol'
import { createScheduler, type Logger, type Scheduler } from '@skrei/scheduler'
import { sqliteStateStore } from '@skrei/state-store/sqlite'
import type { Publisher, Source } from '@skrei/storage'
import { inlineSource } from '@skrei/storage/inline'
import { localPublisher, localWorkspace } from '@skrei/storage/local'
import { httpsSource } from '@skrei/storage-https'
import { ipfsStorage } from '@skrei/storage-ipfs'
import { memoryNetwork, systemClock } from '@skrei/transport/memory'
import { v7 as uuid } from 'uuid'
import { embeddedCapacity, embeddedLabels } from './capacity.ts'
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
  await using stack = new AsyncDisposableStack()
  const store = stack.use(sqliteStateStore({ path: join(runFolder, 'state.sqlite') }))
  const ipfs = stack.use(ipfsStorage({ directory: home.blocks }))
  await ipfs.start()
  const transport = stack.use(memoryNetwork({ clock: systemClock() }).join(identity.nodeId))
  await transport.start()
  const executors = engines(runFolder)
  // A source that does not answer is told within a minute, not after ten.
  const https = stack.use(httpsSource({ allowPrivateAddresses: options.allowPrivateAddresses, connectTimeout: 5000, silenceTimeout: 10_000, attempts: 2 }))
  const publishers = [ipfs.publisher, localPublisher({ directory: home.published })]
  const scheduler = stack.use(
    createScheduler({
      network: 'embedded',
      identity,
      check: checkSignature,
      clock: systemClock(),
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
  const owned = stack.move()
  return {
    scheduler,
    publisherOf: (reference) => publishers.find(({ type }) => type === reference.type),
    [Symbol.asyncDispose]: () => owned.disposeAsync(),
  }
}

const engines = (runFolder: string): readonly Executor[] => [wasmExecutor({ directory: join(runFolder, 'wasm') }), noopExecutor()]

/** Ends whatever a process that died left running in its run folder. */
export const reapEngines = async (runFolder: string): Promise<void> => {
  for (const executor of engines(runFolder)) for await (const id of executor.leftovers()) await executor.remove(id)
}
