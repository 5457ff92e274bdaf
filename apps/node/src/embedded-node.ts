import { availableParallelism } from 'node:os'
import type { Identity } from '@skrei/protocol'
import type { Logger } from '@skrei/scheduler'
import type { Source } from '@skrei/storage'
import { localPublisher } from '@skrei/storage/local'
import { memoryNetwork } from '@skrei/transport/memory'
import { v7 as uuid } from 'uuid'
import { machineCapacity, machineLabels } from './capacity.ts'
import { ownDockerPolicy } from './docker-policy.ts'
import { type Engine, engines, enginesHere } from './engines.ts'
import type { Home } from './home.ts'
import { type MadeNode, makeNode } from './node/make-node.ts'
import type { StderrTails } from './stderr-tails.ts'

export interface EmbeddedNodeOptions {
  readonly home: Home
  /** The folder of this process: state, workspace, what the engines keep. */
  readonly runFolder: string
  readonly identity: Identity
  /** The source `local` of this job: what it allows and what paths are relative to. */
  readonly local: Source
  readonly allowPrivateAddresses: boolean
  /** The engine of its job. */
  readonly engine: string
  /** What is to hear its engines. */
  readonly tails?: StderrTails
  readonly logger: Logger
}

/** A whole node in this process: it asks itself, bids, runs and publishes. Opens no port. */
export type EmbeddedNode = MadeNode

export const startEmbeddedNode = async (options: EmbeddedNodeOptions): Promise<EmbeddedNode> => {
  const { home, runFolder, identity, logger, tails } = options
  const heard = (all: readonly Engine[]): readonly Engine[] => (tails === undefined ? all : all.map(tails.of))
  return makeNode({
    network: 'embedded',
    identity,
    folder: runFolder,
    logger,
    jobId: () => uuid(),
    transport: (clock) => memoryNetwork({ clock, seed: 'embedded' }).join(identity.nodeId),
    // Not flushed block by block: the copy in the result directory is not either, and what a power cut takes is run again.
    ipfs: () => ({ directory: home.blocks, sync: false }),
    // A source that does not answer is told within a minute, not after ten.
    https: { allowPrivateAddresses: options.allowPrivateAddresses, connectTimeout: 5000, silenceTimeout: 10_000, attempts: 2 },
    local: options.local,
    publishers: [localPublisher({ directory: home.published })],
    compute: {
      // All guests are of one job, so a process may run many of them.
      engines: heard(
        await engines(runFolder, {
          warm: Math.min(2, availableParallelism()),
          runsPerProcess: 100,
          names: await enginesHere(options.engine),
          docker: ownDockerPolicy(identity.nodeId, options),
        }),
      ),
      capacity: await machineCapacity(home.path),
      labels: machineLabels(),
    },
  })
}
