import type { Executor } from '@skrei/executor'
import type { Capacity, Device, FileEntry, Refusal, Task } from '@skrei/job-spec'
import type { OutboxEntry, Reader, StateStore } from '@skrei/state-store'
import type { Publisher, Source, Workspace } from '@skrei/storage'
import { type Clock, TransportError } from '@skrei/transport'
import type { NodeOffer } from '../directory/fit.ts'
import { createFairPool } from '../fair-pool.ts'
import { forgetOldest } from '../forget-oldest.ts'
import type { Ended } from '../kernel/ended.ts'
import type { KernelEvent, ObjectEvent, Transition } from '../kernel/event.ts'
import { lazy } from '../kernel/lazy.ts'
import { readLedger } from '../kernel/ledger.ts'
import type { Performer } from '../kernel/outbox.ts'
import type { ComputeContext, ComputeFacts } from '../machines/compute-execution.ts'
import type { ComputeOptions, NodeStanding } from '../options.ts'
import type { Settings } from '../settings.ts'
import { createAdmission } from './admission.ts'
import { type Assessed, type AssessWorld, assess, assessAtOnce, engineSources } from './assess.ts'
import { allocate, freeOf, limitsOf } from './capacity.ts'
import { createEngineAnswers } from './engine-answers.ts'
import { shortestLease } from './heartbeats.ts'
import { publishLogs } from './logs.ts'
import { createRemembered } from './remembered.ts'
import { failureFrom, run } from './run.ts'
import { type Progress, stage } from './stage.ts'

export interface ComputeWorld {
  readonly options: ComputeOptions
  readonly settings: Settings
  readonly store: StateStore
  readonly clock: Clock
  /** Uniform in [0, 1). */
  readonly random: () => number
  readonly workspace: Workspace
  readonly sources: ReadonlyMap<string, Source>
  readonly publishers: ReadonlyMap<string, Publisher>
  /** The files of a shard that did not fit into its ask, a part at a time. */
  readonly queryManifest: (
    requester: string,
    shard: { readonly job: string; readonly index: number; readonly manifest: string },
    options: { readonly signal: AbortSignal },
  ) => AsyncIterable<readonly FileEntry[]>
  /** How many executions of a requester the node has. */
  readonly held: (requester: string) => number
  /** Resolves once the node has a lease by which it may publish the execution, which is watched until the end of the scope. */
  readonly permit: (context: ComputeContext, options: { readonly signal: AbortSignal }) => Promise<Disposable>
  readonly progress: (context: ComputeContext, phase: 'staging' | 'running', done: number, total: number | undefined) => void
}

/** What a compute node does: facts for its machine, effects that touch the world, and who is served when capacity becomes free. */
export interface ComputeRole {
  /** Asks the executors for their versions and devices: before anything else. */
  start(): Promise<void>
  /** Ends what an earlier run left behind and nobody remembers. */
  sweep(): Promise<void>
  /** From now on nothing new is taken. */
  drain(): void
  offer(): NodeOffer
  engines(): readonly { readonly name: string; readonly version: string }[]
  free(reader: Reader): { readonly cpu: number; readonly memory: number; readonly disk: number }
  /** Why the node would not run it; whether it has room now is not looked at. */
  assess(asked: Assessed, files: readonly FileEntry[], options: { readonly signal: AbortSignal }): Promise<readonly Refusal[]>
  /** How much of its streams an execution has written in this run of the node, as far as it runs. */
  written(id: string): Written
  /** What the node has, which of it is free, and how many asks wait. */
  inventory(): Required<Pick<NodeStanding, 'capacity' | 'free' | 'devices' | 'queued'>>
  /** What a task would find here now. */
  standing(task: Task): { readonly lacks?: Refusal; readonly free: Capacity; readonly queued: number }
  facts(reader: Reader, context: ComputeContext): ComputeFacts
  /** The waiting ask, if any, that goes on with what is free now: one at a time, what it takes is then taken. */
  freed(reader: Reader): readonly Pick<KernelEvent, 'kind' | 'id' | 'event'>[]
  /** Told of every change within its turn; whether `freed` has something to say then. */
  saved(transition: Transition): boolean
  /** Asks that came to nothing, of a requester that has more of them now than are remembered: this one ended as `row`. */
  outlived(reader: Reader, requester: string, row: string): readonly Ended[]
  /** Some of those changes were undone. */
  undone(): void
  /** What an effect comes to that has nothing to do in the world. */
  atOnce(effect: string, context: ComputeContext): ObjectEvent | undefined
  readonly performers: Readonly<Record<'assess' | 'stage' | 'run' | 'stop' | 'publish' | 'publish-logs' | 'unpublish' | 'clean', Performer>>
}

export interface Written {
  readonly stdout: number
  readonly stderr: number
}
const nothingFree = { cpu: 0, memory: 0, disk: 0 }
const nothingWritten: Written = { stdout: 0, stderr: 0 }

/** Nothing of these is in the workspace yet: what is there is of a run that a store that was set back knows nothing of. They end without a clean-up. */
const unbegun: ReadonlySet<string> = new Set(['assessing', 'queued', 'reserved'])
/** Of how many shards the first files are remembered, should they be assessed again. */
const listsKept = 64

export const createComputeRole = (world: ComputeWorld): ComputeRole => {
  const { options, settings, store, workspace } = world
  const executors = new Map<string, Executor>(options.executors.map((executor) => [executor.engine, executor]))
  const secret = options.secret ?? (() => undefined)
  const limits = limitsOf(options.capacity, options.overSubscription)
  const now = (): number => world.clock.now()
  const admission = createAdmission({ options, settings, limits, devices: () => devices, now, random: world.random, held: world.held })
  const assessments = createFairPool({ atOnce: 32, ofOne: 8 })
  const remembered = createRemembered(settings.keepDeclined)
  let draining = false
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

  const written = new Map<string, Written>()

  /** The first part of a shard's list, which an assessment looks at. */
  const lists = new Map<string, readonly FileEntry[]>()
  const partsOf = (context: ComputeContext, signal: AbortSignal): AsyncIterable<readonly FileEntry[]> | Iterable<readonly FileEntry[]> => {
    if (context.shard.files !== undefined) return [context.shard.files]
    const { job, shard } = context
    return world.queryManifest(context.requester, { job, index: shard.index, manifest: shard.manifest }, { signal })
  }
  const firstOf = async (context: ComputeContext, signal: AbortSignal): Promise<readonly FileEntry[]> => {
    const known = lists.get(context.id)
    if (known !== undefined) return known
    for await (const files of partsOf(context, signal)) {
      lists.set(context.id, files)
      forgetOldest(lists, listsKept)
      return files
    }
    return []
  }

  /** When to ask again, for those who are sent away: not all at the same time. */
  const retryAfter = (requester: string): number =>
    Math.min(settings.longestRetryAfter, Math.max(settings.retryAfter, admission.pause(requester))) * (1 + world.random() / 2)

  const progressOf =
    (context: ComputeContext): Progress =>
    (phase, done, total) =>
      world.progress(context, phase, done, total)

  const executorOf = (task: Task): Executor | undefined => executors.get(task.engine.type)

  const engineAnswers = createEngineAnswers(world.clock)
  const assessWorld = (requester: string): AssessWorld => ({
    offer: offer(),
    executors,
    engineAnswers,
    sources: world.sources,
    policy: options.policy ?? (() => []),
    secret: (name) => secret(name, requester),
  })
  const assessHere: ComputeRole['assess'] = (asked, files, { signal }) => assess(assessWorld(asked.requester), asked, files, { signal })
  const leaseRefusals = ({ terms: { lease } }: ComputeContext): readonly Refusal[] =>
    lease === null || lease >= shortestLease
      ? []
      : [{ code: 'policy', detail: `a lease of ${lease} ms is too short to hold: ${shortestLease} ms is the least` }]

  /** No file of the shard, and none of the engine's own. */
  const stagesNothing = ({ shard, task }: ComputeContext): boolean => shard.files?.length === 0 && engineSources(task).length === 0

  return {
    drain: () => {
      draining = true
    },
    offer,
    assess: async (asked, files, { signal }) =>
      draining ? [{ code: 'draining', detail: 'the node takes nothing new: it is about to stop' }] : await assessHere(asked, files, { signal }),
    written: (id) => written.get(id) ?? nothingWritten,
    inventory: () => {
      const { ledger, queued } = store.read((reader) => ({ ledger: readLedger(reader), queued: admission.queued(reader) }))
      const holders = new Map(Object.entries(ledger.devices))
      const given = devices.map((device) => {
        const execution = holders.get(device.id)
        return { ...device, ...(execution !== undefined && { execution }) }
      })
      return { capacity: options.capacity, free: freeOf(limits, ledger), devices: given, queued }
    },
    standing: (task) => {
      const { ledger, queued } = store.read((reader) => ({ ledger: readLedger(reader), queued: admission.queued(reader) }))
      const fit = allocate(task, limits, devices, ledger)
      return { ...('refusal' in fit && { lacks: fit.refusal }), free: freeOf(limits, ledger), queued }
    },
    engines: () => engines,
    start: async () => {
      const inventories = await Promise.all([...executors.values()].map(async (executor) => ({ name: executor.engine, ...(await executor.inventory()) })))
      engines = inventories.map(({ name, version }) => ({ name, version }))
      devices = inventories.flatMap((inventory) => inventory.devices)
    },
    sweep: async () => {
      const isBegun = (id: string): boolean => {
        const row = store.read((reader) => reader.get('compute', id))
        return row?.open === true && !unbegun.has(row.state)
      }
      for (const executor of executors.values()) for await (const id of executor.leftovers()) if (!isBegun(id)) await executor.remove(id)
      for await (const id of workspace.leftovers()) if (!isBegun(id)) await workspace.remove(id)
    },
    free: (reader) => (draining ? nothingFree : freeOf(limits, readLedger(reader))),
    facts: (reader, context) =>
      lazy<ComputeFacts>({
        fit: () => allocate(context.task, limits, devices, readLedger(reader)),
        turn: () => (draining ? { may: false } : admission.turn(reader, context)),
        queueFull: () => admission.isFull(reader, context.requester),
        draining: () => draining,
        crowded: () => admission.isCrowded(reader, context.requester),
        paused: () => admission.pause(context.requester) > 0,
        retryAfter: () => retryAfter(context.requester),
        free: () => freeOf(limits, readLedger(reader)),
      }),
    freed: (reader) => {
      const id = draining ? undefined : admission.next(reader)
      return id === undefined ? [] : [{ kind: 'compute', id, event: { type: 'capacity' } }]
    },
    saved: (transition) => transition.kind === 'compute' && admission.saved(transition),
    outlived: remembered.ended,
    undone: () => {
      admission.undone()
      remembered.undone()
    },
    atOnce: (effect, context) => {
      if (!stagesNothing(context)) return undefined
      if (effect === 'stage') return { type: 'staged', bytes: 0, tops: [] }
      if (effect !== 'assess' || leaseRefusals(context).length > 0) return undefined
      const refusals = assessAtOnce(assessWorld(context.requester), context)
      return refusals && { type: 'assessed', refusals }
    },
    performers: {
      // What an assessment asks of sources and engines is work for a stranger: however many asks come, only so many are looked into at a time. What waits is not in memory.
      assess: (entry, { signal }) =>
        assessments.run(
          contextOf(entry).requester,
          async () => {
            const context = contextOf(entry)
            const tooShort = leaseRefusals(context)
            if (tooShort.length > 0) return { type: 'assessed', refusals: tooShort }
            const files = await firstOf(context, signal)
            const refusals = await assessHere(context, files, { signal })
            return { type: 'assessed', refusals }
          },
          { signal },
        ),
      stage: async (entry, { signal }) => {
        const context = contextOf(entry)
        const staged = await stage(context, partsOf(context, signal), { workspace, sources: world.sources, progress: progressOf(context) }, { signal })
        return { type: 'staged', ...staged }
      },
      run: async (entry, { signal }) => {
        const context = contextOf(entry)
        const outcome = await run(
          context,
          {
            workspace,
            executors,
            secret: (name) => secret(name, context.requester),
            progress: progressOf(context),
            written: (id, stream, bytes) => void written.set(id, { ...(written.get(id) ?? nothingWritten), [stream]: bytes }),
          },
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
        using _lease = await world.permit(contextOf(entry), { signal })
        const reference = await world.publishers.get(publisher)?.publish(entry.id, await workspace.toPublish(entry.id), { signal })
        if (reference === undefined) throw new Error(`no driver for the publisher ${publisher}`)
        return { type: 'published', reference }
      },
      'publish-logs': async (entry, { signal }) => {
        const { publisher } = entry.data as { readonly publisher: string }
        const logs = await publishLogs(entry.id, world.publishers.get(publisher), workspace, { signal })
        return { type: 'logged', ...(logs && { logs }) }
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
        written.delete(entry.id)
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
    case 'publish-logs':
      return { type: 'logged' }
    default:
      return undefined
  }
}
