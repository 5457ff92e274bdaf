import type { Executor } from '@skrei/executor'
import type { Device, FileEntry, Task } from '@skrei/job-spec'
import { cidOf } from '@skrei/job-spec'
import type { OutboxEntry, Reader, Row, StateStore } from '@skrei/state-store'
import type { Publisher, Source, Workspace } from '@skrei/storage'
import { type Clock, TransportError } from '@skrei/transport'
import type { NodeOffer } from '../directory/fit.ts'
import type { KernelEvent, ObjectEvent, Transition } from '../kernel/event.ts'
import { lazy } from '../kernel/lazy.ts'
import { readLedger } from '../kernel/ledger.ts'
import type { Performer } from '../kernel/outbox.ts'
import type { ComputeContext, ComputeFacts } from '../machines/compute-execution.ts'
import type { ComputeOptions } from '../options.ts'
import type { Settings } from '../settings.ts'
import { assess } from './assess.ts'
import { allocate, freeOf } from './capacity.ts'
import { createAskQueue } from './queue.ts'
import { failureFrom, run } from './run.ts'
import { type Progress, stage } from './stage.ts'

export interface ComputeWorld {
  readonly options: ComputeOptions
  readonly settings: Settings
  readonly store: StateStore
  readonly clock: Clock
  readonly workspace: Workspace
  readonly sources: ReadonlyMap<string, Source>
  readonly publishers: ReadonlyMap<string, Publisher>
  /** The files of a shard that did not fit into its ask. */
  readonly queryManifest: (requester: string, job: string, index: number, options: { readonly signal: AbortSignal }) => Promise<readonly FileEntry[]>
  readonly progress: (context: ComputeContext, phase: 'staging' | 'running', done: number, total: number | undefined) => void
}

/** What a compute node does: facts for its machine, effects that touch the world, and who is served when capacity becomes free. */
export interface ComputeRole {
  /** Asks the executors for their versions and devices: before anything else. */
  start(): Promise<void>
  /** Ends what an earlier run left behind and nobody remembers. */
  sweep(): Promise<void>
  offer(): NodeOffer
  engines(): readonly { readonly name: string; readonly version: string }[]
  free(reader: Reader): { readonly cpu: number; readonly memory: number; readonly disk: number }
  facts(reader: Reader, context: ComputeContext): ComputeFacts
  /** Waiting asks that may go on with what is free now, in the order of service. */
  freed(reader: Reader): readonly Pick<KernelEvent, 'kind' | 'id' | 'event'>[]
  /** Keeps the queue in step with rows. Returns whether an ask came to wait: something may be free already. */
  noted(transition: Pick<Transition, 'id' | 'from' | 'to' | 'context'>): boolean
  readonly performers: Readonly<Record<'assess' | 'stage' | 'run' | 'stop' | 'publish' | 'unpublish' | 'clean', Performer>>
}

/** How many waiting asks are looked at when capacity becomes free. */
const looked = 2000
/** How many shards' files are remembered between assess and stage. */
const listsKept = 256

export const createComputeRole = (world: ComputeWorld): ComputeRole => {
  const { options, settings, store, workspace } = world
  const executors = new Map<string, Executor>(options.executors.map((executor) => [executor.engine, executor]))
  const secret = options.secret ?? (() => undefined)
  const queue = createAskQueue()
  let devices: readonly Device[] = []
  let engines: readonly { readonly name: string; readonly version: string }[] = []

  const offer = (): NodeOffer => ({
    engines: engines.map(({ name }) => name),
    sources: [...world.sources.keys()],
    publishers: [...world.publishers.keys(), 'none'],
    capacity: options.capacity,
    devices,
    labels: options.labels ?? {},
  })

  const contextOf = (entry: OutboxEntry): ComputeContext => {
    const row = store.read((reader) => reader.get('compute', entry.id))
    if (row === undefined) throw new Error(`no execution ${entry.id}`)
    return row.data as unknown as ComputeContext
  }

  const lists = new Map<string, readonly FileEntry[]>()
  const filesOf = async (context: ComputeContext, signal: AbortSignal): Promise<readonly FileEntry[]> => {
    const known = context.shard.files ?? lists.get(context.id)
    if (known !== undefined) return known
    const files = await world.queryManifest(context.requester, context.job, context.shard.index, { signal })
    if (cidOf(files) !== context.shard.manifest) throw new Error('the files that the requester named are not those of the manifest')
    lists.set(context.id, files)
    const oldest = lists.size > listsKept ? lists.keys().next().value : undefined
    if (oldest !== undefined) lists.delete(oldest)
    return files
  }

  /** What the ask that is served next lacks, once it has waited too long: until it is served, nobody may take of that. */
  const spared = (reader: Reader): { readonly id: string; readonly resources: ReadonlySet<keyof Task['resources']> } | undefined => {
    const head = queue.head()
    if (head === undefined || world.clock.now() - head.since <= settings.patience) return undefined
    const context = reader.get('compute', head.id)?.data as unknown as ComputeContext | undefined
    const fit = context && allocate(context.task, options.capacity, devices, readLedger(reader))
    return fit && 'refusal' in fit && fit.refusal.resource ? { id: head.id, resources: new Set([fit.refusal.resource]) } : undefined
  }

  const mayTake = (reader: Reader, id: string, { requester, task }: ComputeContext): boolean => {
    const reserved = reader.list('compute', { parent: requester, state: 'reserved', open: true, limit: settings.reservations })
    if (reserved.length >= settings.reservations) return false
    const blocked = spared(reader)
    if (blocked === undefined || blocked.id === id) return true
    return ![...blocked.resources].some((resource) => (resource === 'gpu' ? task.resources.gpu.count > 0 : task.resources[resource] > 0))
  }

  const progressOf =
    (context: ComputeContext): Progress =>
    (phase, done, total) =>
      world.progress(context, phase, done, total)

  const executorOf = (task: Task): Executor | undefined => executors.get(task.engine.type)

  return {
    offer,
    engines: () => engines,
    start: async () => {
      const inventories = await Promise.all([...executors.values()].map(async (executor) => ({ name: executor.engine, ...(await executor.inventory()) })))
      engines = inventories.map(({ name, version }) => ({ name, version }))
      devices = inventories.flatMap((inventory) => inventory.devices)
      for (let after: string | undefined; ; ) {
        const rows: readonly Row[] = store.read((reader) =>
          reader.list('compute', { state: 'queued', open: true, ...(after !== undefined && { after }), limit: 500 }),
        )
        for (const { id, data } of rows) {
          const context = data as unknown as ComputeContext
          queue.add(context.requester, id, context.queuedAt ?? world.clock.now())
        }
        after = rows.at(-1)?.id
        if (after === undefined) break
      }
    },
    sweep: async () => {
      const isOpen = (id: string): boolean => store.read((reader) => reader.get('compute', id)?.open === true)
      for (const executor of executors.values()) for await (const id of executor.leftovers()) if (!isOpen(id)) await executor.remove(id)
      for await (const id of workspace.leftovers()) if (!isOpen(id)) await workspace.remove(id)
    },
    free: (reader) => freeOf(options.capacity, readLedger(reader)),
    facts: (reader, context) =>
      lazy<ComputeFacts>({
        fit: () => allocate(context.task, options.capacity, devices, readLedger(reader)),
        turn: () => mayTake(reader, context.id, context),
        queueFull: () => queue.size >= settings.queue || queue.sizeOf(context.requester) >= settings.queue / 2,
        free: () => freeOf(options.capacity, readLedger(reader)),
      }),
    freed: (reader) => {
      const events: Pick<KernelEvent, 'kind' | 'id' | 'event'>[] = []
      let seen = 0
      for (const id of queue.order()) {
        const { cpu, memory } = freeOf(options.capacity, readLedger(reader))
        if (cpu <= 0 || memory <= 0 || seen++ >= looked) break
        const row = reader.get('compute', id)
        const context = row?.data as unknown as ComputeContext | undefined
        if (row?.state === 'queued' && context && 'devices' in allocate(context.task, options.capacity, devices, readLedger(reader)))
          events.push({ kind: 'compute', id, event: { type: 'capacity' } })
      }
      return events
    },
    noted: ({ id, from, to, context }) => {
      const { requester, queuedAt } = context as unknown as ComputeContext
      if (to === 'queued' && from !== 'queued') {
        queue.add(requester, id, queuedAt ?? world.clock.now())
        return true
      }
      if (from === 'queued' && to !== 'queued') queue.remove(requester, id, to === 'reserved')
      // A reservation that was awarded makes room for another one of its requester.
      return from === 'reserved' && queue.sizeOf(requester) > 0
    },
    performers: {
      assess: async (entry, { signal }) => {
        const context = contextOf(entry)
        const files = await filesOf(context, signal)
        const secretOf = (name: string) => secret(name, context.requester)
        const refusals = await assess(
          { offer: offer(), executors, sources: world.sources, policy: options.policy ?? (() => []), secret: secretOf },
          context,
          files,
          { signal },
        )
        return { type: 'assessed', refusals }
      },
      stage: async (entry, { signal }) => {
        const context = contextOf(entry)
        const files = await filesOf(context, signal)
        const bytes = await stage(context, files, { workspace, sources: world.sources, progress: progressOf(context) }, { signal })
        return { type: 'staged', bytes, tops: [...new Set(files.map(({ path }) => path.slice(0, path.indexOf('/'))))] }
      },
      run: async (entry, { signal }) => {
        const context = contextOf(entry)
        const outcome = await run(
          context,
          { workspace, executors, secret: (name) => secret(name, context.requester), progress: progressOf(context) },
          { signal },
        )
        return { type: 'ended', outcome }
      },
      stop: async (entry) => {
        await executorOf(contextOf(entry).task)?.stop(entry.id)
        return { type: 'stopped' }
      },
      publish: async (entry, { signal }) => {
        const { publisher } = entry.data as { readonly publisher: string }
        if (publisher === 'none') return { type: 'published', reference: { type: 'none' } }
        const { publish } = await workspace.open(entry.id)
        const reference = await world.publishers.get(publisher)?.publish(entry.id, publish, { signal })
        if (reference === undefined) throw new Error(`no driver for the publisher ${publisher}`)
        return { type: 'published', reference }
      },
      unpublish: async (entry, { signal }) => {
        const { publisher } = entry.data as { readonly publisher: string }
        await world.publishers.get(publisher)?.unpublish(entry.id, { signal })
        return { type: 'unpublished' }
      },
      clean: async (entry) => {
        await executorOf(contextOf(entry).task)?.remove(entry.id)
        await workspace.remove(entry.id)
        lists.delete(entry.id)
        return { type: 'cleaned' }
      },
    },
  }
}

/** What an effect of the compute role comes to when it throws; nothing = it is tried again, until its object goes on without it. */
export const computeFailed = (entry: OutboxEntry, error: unknown): ObjectEvent | undefined => {
  switch (entry.type) {
    case 'assess':
      return { type: 'assessed', refusals: [{ code: 'assess-failed', detail: failureFrom(error).detail }] }
    case 'stage':
      // The requester, not the source, could not be reached: it may be back within the time for staging.
      if (error instanceof TransportError) return undefined
      return { type: 'ended', outcome: { failure: failureFrom(error), usage: {}, facts: {} } }
    case 'run':
      return { type: 'ended', outcome: { failure: failureFrom(error), usage: {}, facts: {} } }
    case 'publish':
      return { type: 'publish-failed', failure: failureFrom(error, 'publish-failed') }
    default:
      return undefined
  }
}
