import { randomUUID } from 'node:crypto'
import { mkdirSync } from 'node:fs'
import { join } from 'node:path'
import { checkSignature, createIdentity, type Identity } from '@skrei/protocol'
import { createScheduler, type Scheduler, type SchedulerOptions } from '@skrei/scheduler'
import type { StateStore } from '@skrei/state-store'
import { sqliteStateStore } from '@skrei/state-store/sqlite'
import { inlineSource } from '@skrei/storage/inline'
import { localWorkspace } from '@skrei/storage/local'
import { type MemoryNetwork, memoryNetwork } from '@skrei/transport/memory'
import { systemClock } from '@skrei/transport/system-clock'

export interface DiskNodeOptions extends Pick<SchedulerOptions, 'compute' | 'settings' | 'logger'> {
  /** Holds what {@link diskNodeFiles} names. Made if it is not there. */
  readonly folder: string
  /** Default: one of its own, made anew. */
  readonly identity?: Identity
  /** Default: one of its own, in which it is alone. */
  readonly network?: MemoryNetwork
  /** Default: inline. */
  readonly sources?: SchedulerOptions['sources']
  /** Default: none. */
  readonly publishers?: SchedulerOptions['publishers']
}

/** Disposing stops the node and closes its store. */
export interface DiskNode extends AsyncDisposable {
  /** Not started. */
  readonly scheduler: Scheduler
  readonly store: StateStore
  /** Durable commits so far. */
  commits(): number
}

export const clock = systemClock()

export const diskNodeFiles = (folder: string) => ({ state: join(folder, 'state.sqlite'), workspace: join(folder, 'workspace') })

/** A whole node: a key, a SQLite store on disk with a durable commit for every turn, a workspace; over the memory transport. */
export const diskNode = ({ folder, identity = createIdentity(), network = memoryNetwork({ clock, seed: 1 }), ...options }: DiskNodeOptions): DiskNode => {
  const files = diskNodeFiles(folder)
  mkdirSync(folder, { recursive: true })
  const sqlite = sqliteStateStore({ path: files.state })
  let commits = 0
  const store: StateStore = {
    ...sqlite,
    transact: (work) => {
      commits++
      return sqlite.transact(work)
    },
  }
  const transport = network.join(identity.nodeId)
  const scheduler = createScheduler({
    network: 'benchmark',
    identity,
    check: checkSignature,
    clock,
    random: Math.random,
    jobId: randomUUID,
    store,
    transport,
    workspace: localWorkspace({ directory: files.workspace }),
    sources: [inlineSource()],
    publishers: [],
    ...options,
  })
  return {
    scheduler,
    store,
    commits: () => commits,
    [Symbol.asyncDispose]: async () => {
      await scheduler.stop()
      await transport[Symbol.asyncDispose]()
      sqlite[Symbol.dispose]()
    },
  }
}
