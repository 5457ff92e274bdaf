import { type AnyDraft, encodeMessage, type Incarnation } from '@skrei/protocol'
import type { OutboxEntry } from '@skrei/state-store'
import { none } from '@skrei/verifier'
import { createAnnouncer } from './announce.ts'
import { computeFailed, createComputeRole } from './compute/role.ts'
import { createDirectory } from './directory/directory.ts'
import { createInbox } from './inbox.ts'
import type { Transition } from './kernel/event.ts'
import { createKernel } from './kernel/kernel.ts'
import { createOutbox, type Outbox } from './kernel/outbox.ts'
import { createKinds } from './kinds.ts'
import { createLeases } from './leases.ts'
import type { ExecutionContext } from './machines/execution.ts'
import type { JobContext } from './machines/job.ts'
import type { ShardContext } from './machines/shard.ts'
import type { JobView, Logger, Scheduler, SchedulerEvent, SchedulerOptions } from './options.ts'
import { queryManifest, serveManifests } from './requester/manifest-query.ts'
import { jobResult, jobView } from './requester/result.ts'
import { checkSubmittable, newJob, requesterFailed, requesterPerformers } from './requester/role.ts'
import { createSpecs, specRow } from './requester/specs.ts'
import { defaultSettings } from './settings.ts'
import { SubmitError } from './submit-error.ts'

const silent: Logger = { debug: () => {}, info: () => {}, warn: () => {}, error: () => {} }

/** Puts a node together. Nothing happens before `start`. */
export const createScheduler = (options: SchedulerOptions): Scheduler => {
  const { network, identity, clock, store, transport, workspace } = options
  const self = identity.nodeId
  const settings = Object.freeze({ ...defaultSettings, ...options.settings })
  const logger = options.logger ?? silent
  const sources = new Map(options.sources.map((source) => [source.type, source]))
  const publishers = new Map(options.publishers.map((publisher) => [publisher.type, publisher]))
  const methods = new Map((options.methods ?? [none]).map((method) => [method.name, method]))
  const listeners = new Set<(event: SchedulerEvent) => void>()
  const specs = createSpecs()
  const directory = createDirectory({ clock, random: options.random })
  let incarnation: Incarnation = { counter: 1, id: '0'.repeat(16) }
  let outbox: Outbox | undefined
  const subscriptions: Disposable[] = []

  const tell = (event: SchedulerEvent): void => {
    for (const listener of listeners) listener(event)
  }

  const compute =
    options.compute &&
    createComputeRole({
      options: options.compute,
      settings,
      store,
      clock,
      workspace,
      sources,
      publishers,
      queryManifest: (requester, job, index, { signal }) => queryManifest(transport, requester, job, index, { signal }),
      progress: (context, _phase, done, total) =>
        leases.progress(context.id, context.requester, total !== undefined && total > 0 ? Math.min(1, done / total) : undefined),
    })

  const kernel = createKernel({
    store,
    clock,
    context: {
      kinds: createKinds({ network, self, settings, specs, directory, compute, heardAt: (node) => leases.heardAt(node) }),
      encode: ({ to, type, body }) => encodeMessage({ network, from: self, to, incarnation, type, body } as AnyDraft, identity.sign),
      freed: (transaction) => compute?.freed(transaction) ?? [],
      fault: (event, error) =>
        logger.error('an event broke its machine', {
          kind: event.kind,
          id: event.id,
          event: event.event.type,
          error: error instanceof Error ? (error.stack ?? error.message) : String(error),
        }),
    },
  })

  const leases = createLeases({
    network,
    incarnation: () => incarnation,
    store,
    kernel,
    clock,
    transport,
    settings,
    logger,
    onProgress: (node, execution, phase, fraction) => {
      const place = placeOf(execution)
      if (place) tell({ type: 'progress', ...place, node, phase, ...(fraction !== undefined && { fraction }) })
    },
  })

  const inbox = createInbox({ network, self, check: options.check, store, settings, logger })
  const announcer = createAnnouncer({
    network,
    identity,
    check: options.check,
    incarnation: () => incarnation,
    clock,
    store,
    transport,
    directory,
    settings,
    compute,
    logger,
  })

  /** Which job and shard an execution of this requester belongs to. */
  const placeOf = (execution: string): { readonly job: string; readonly shard: number } | undefined => {
    const context = store.read((reader) => reader.get('execution', execution))?.data as unknown as ExecutionContext | undefined
    if (context === undefined) return undefined
    const cut = context.shardId.lastIndexOf('/')
    return { job: context.shardId.slice(0, cut), shard: Number(context.shardId.slice(cut + 1)) }
  }

  const describe = (transition: Transition): SchedulerEvent => {
    switch (transition.kind) {
      case 'job':
        return { type: 'transition', job: transition.id, transition }
      case 'shard': {
        const { jobId, index } = transition.context as unknown as ShardContext
        return { type: 'transition', job: jobId, shard: index, transition }
      }
      case 'execution': {
        const { node } = transition.context as unknown as ExecutionContext
        return { type: 'transition', ...placeOf(transition.id), node, transition }
      }
      default:
        return { type: 'transition', transition }
    }
  }

  const onTransition = (transition: Transition): void => {
    if (transition.kind === 'compute') {
      const waiting = compute?.noted(transition)
      if (waiting !== undefined) void kernel.submit([{ kind: 'compute', id: waiting, event: { type: 'capacity' }, actor: 'queue' }]).catch(() => {})
    }
    if (listeners.size > 0) tell(describe(transition))
  }

  const nextIncarnation = (): Incarnation => {
    const before = store.read((reader) => reader.get('node', 'self'))?.data as unknown as Incarnation | undefined
    const next: Incarnation = {
      counter: (before?.counter ?? 0) + 1,
      id: Array.from({ length: 16 }, () => Math.floor(options.random() * 16).toString(16)).join(''),
    }
    store.transact((transaction) => transaction.put({ kind: 'node', id: 'self', state: 'started', open: true, version: next.counter, data: { ...next } }))
    return next
  }

  const start = async (): Promise<void> => {
    incarnation = nextIncarnation()
    await transport.start()
    await compute?.start()
    await compute?.sweep()
    outbox = createOutbox({
      store,
      kernel,
      clock,
      transport,
      random: options.random,
      performers: { ...requesterPerformers({ store, specs, sources, publishers, workspace }), ...compute?.performers },
      interrupting: new Set(['stop', 'abort']),
      failed: (entry: OutboxEntry, error) => {
        logger.warn('an effect failed', { kind: entry.kind, id: entry.id, effect: entry.type, error: String(error) })
        return entry.kind === 'compute' ? computeFailed(entry, error) : requesterFailed(entry, error)
      },
    })
    subscriptions.push(
      kernel.onTransition(onTransition),
      kernel.onTurn(() => outbox?.wake()),
      transport.receive(async (from, frame) => {
        const { events, applied } = inbox.read(from, frame)
        await kernel.submit(events)
        applied()
      }),
      serveManifests(transport, store),
    )
    leases.start()
    announcer.start()
    kernel.start()
    outbox.wake()
  }

  const stop = async (): Promise<void> => {
    kernel.stop()
    announcer[Symbol.dispose]()
    leases[Symbol.dispose]()
    for (const subscription of subscriptions.splice(0).reverse()) subscription[Symbol.dispose]()
    await outbox?.stop()
    outbox = undefined
  }

  const finished = async (jobId: string, { signal }: { readonly signal?: AbortSignal } = {}): Promise<JobView> => {
    signal?.throwIfAborted()
    const now = store.read((reader) => jobView(reader, jobId))
    if (now === undefined) throw new Error(`no job ${jobId}`)
    if (!now.open) return now
    const { promise, resolve, reject } = Promise.withResolvers<JobView>()
    const abort = (): void => reject(signal?.reason)
    using _listening = kernel.onTransition(({ kind, id, open }) => {
      if (kind !== 'job' || id !== jobId || open) return
      const view = store.read((reader) => jobView(reader, jobId))
      if (view) resolve(view)
    })
    signal?.addEventListener('abort', abort, { once: true })
    try {
      return await promise
    } finally {
      signal?.removeEventListener('abort', abort)
    }
  }

  return {
    nodeId: self,
    start,
    stop,
    [Symbol.asyncDispose]: stop,
    submit: async (spec) => {
      if (outbox === undefined) throw new SubmitError('not-started', 'the node has not started')
      const id = options.jobId()
      const known = specs.resolve(spec)
      checkSubmittable(spec, known.resolved, methods, directory.all().length)
      const context: JobContext = newJob(id, known.specCid, known.resolved, settings, clock.now())
      await kernel.submit([{ kind: 'job', id, event: { type: 'submit', context }, actor: 'user', records: [specRow(id, spec)] }])
      return id
    },
    cancel: async (jobId) => {
      if (store.read((reader) => reader.get('job', jobId))?.open === true)
        await kernel.submit([{ kind: 'job', id: jobId, event: { type: 'cancel' }, actor: 'user' }])
    },
    job: (jobId) => store.read((reader) => jobView(reader, jobId)),
    jobs: ({ after, limit }) =>
      store.read((reader) => reader.list('job', { ...(after !== undefined && { after }), limit }).flatMap(({ id }) => jobView(reader, id) ?? [])),
    finished,
    result: (jobId) => jobResult(store.read, jobId),
    watch: (listener) => {
      listeners.add(listener)
      return { [Symbol.dispose]: () => void listeners.delete(listener) }
    },
    nodes: () => directory.all(),
  }
}
