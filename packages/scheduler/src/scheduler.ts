import { failures as failureTable, type JobSpec } from '@skrei/job-spec'
import { type AnyDraft, encodeMessage, type Incarnation } from '@skrei/protocol'
import type { OutboxEntry } from '@skrei/state-store'
import { none } from '@skrei/verifier'
import { createAnnouncer } from './announce.ts'
import { serveAssessments } from './assess-query.ts'
import { checkOptions } from './check-options.ts'
import { createAskLimit } from './compute/ask-limit.ts'
import { allOver, declineWaiting } from './compute/drain.ts'
import { computeFailed, createComputeRole } from './compute/role.ts'
import { serveLogs } from './compute/serve-logs.ts'
import { computeViews } from './compute/views.ts'
import { createDirectory } from './directory/directory.ts'
import { createNodeFailures } from './directory/failures.ts'
import { createFittings } from './directory/fitting.ts'
import { createRankerFaults } from './directory/ranker-faults.ts'
import { defaultRankers } from './directory/rankers.ts'
import { createSampler } from './directory/sampler.ts'
import { serveSamples } from './directory/serve-samples.ts'
import { survey } from './directory/survey.ts'
import { forgetOldest } from './forget-oldest.ts'
import { guardedClock } from './guarded-clock.ts'
import { createHistories } from './history.ts'
import { createInbox } from './inbox.ts'
import { createJobEnds } from './job-ends.ts'
import type { Transition } from './kernel/event.ts'
import { createKernel } from './kernel/kernel.ts'
import { createOutbox, type Outbox } from './kernel/outbox.ts'
import { createKinds } from './kinds.ts'
import { createLeases } from './leases.ts'
import type { ExecutionContext } from './machines/execution.ts'
import type { ShardContext } from './machines/shard.ts'
import { createOpenJobs } from './open-jobs.ts'
import type { Logger, Scheduler, SchedulerEvent, SchedulerOptions } from './options.ts'
import { createPatience } from './patience.ts'
import { createPeers } from './peers.ts'
import { requireSubmittable } from './requester/check-job.ts'
import { dryRun } from './requester/dry-run.ts'
import { jobOf, shardIndexOf } from './requester/facts.ts'
import { followLogs } from './requester/follow-logs.ts'
import { jobSpecOf, jobView, jobViews, shardViews } from './requester/job-views.ts'
import { queryManifest, serveManifests } from './requester/manifest-query.ts'
import { jobHead, jobResult } from './requester/result.ts'
import { newJob, requesterFailed, requesterPerformers } from './requester/role.ts'
import { createShardNews } from './requester/shard-news.ts'
import { createSpecs, type KnownJob } from './requester/specs.ts'
import { createSubmissions } from './requester/submissions.ts'
import { createRetention } from './retention.ts'
import { SchedulerError } from './scheduler-error.ts'
import { defaultSettings } from './settings.ts'
import { StartError } from './start-error.ts'
import { steadyClock } from './steady-clock.ts'
import { SubmitError } from './submit-error.ts'
import { undeliverable } from './undeliverable.ts'

const objectKinds = ['job', 'shard', 'execution', 'compute']

/** How often, and how many milliseconds apart, a dry run looks whether a node was found. */
const mostLooks = 40
const lookEvery = 250

/** Effects that end what runs for their object before they begin. */
const interrupting: ReadonlySet<string> = new Set(['stop', 'abort', 'unpublish', 'clean'])

/** Nodes of which it is remembered when they said that another lives with this node's key. */
const mostDuplicated = 1024

const silent: Logger = { debug: () => {}, info: () => {}, warn: () => {}, error: () => {} }

/** Puts a node together. Nothing happens before `start`. Throws an `OptionError` that names the option that is none. */
export const createScheduler = (options: SchedulerOptions): Scheduler => {
  checkOptions(options)
  const { network, identity, store, transport, workspace } = options
  const self = identity.nodeId
  const settings = Object.freeze({ ...defaultSettings, ...options.settings })
  const logger = options.logger ?? silent
  const report = (error: unknown): void =>
    logger.error('something went wrong inside the node', { error: error instanceof Error ? (error.stack ?? error.message) : String(error) })
  const clock = steadyClock(guardedClock(options.clock, report), settings.lease / 4)
  const sources = new Map(options.sources.map((source) => [source.type, source]))
  const publishers = new Map(options.publishers.map((publisher) => [publisher.type, publisher]))
  const methods = new Map((options.methods ?? [none]).map((method) => [method.name, method]))
  const listeners = new Set<(event: SchedulerEvent) => void>()
  const specs = createSpecs()
  const { random } = options
  const directory = createDirectory({ clock: clock.calendar, random })
  const fittings = createFittings({ directory, random })
  const failures = createNodeFailures({ clock })
  const stopping = new AbortController()
  const histories = createHistories(store, stopping.signal)
  const ends = createJobEnds(store, stopping.signal)
  let startedAt = clock.now()
  let incarnation: Incarnation = { counter: 1, id: '0'.repeat(16) }
  let outbox: Outbox | undefined
  const subscriptions: Disposable[] = []
  /** Ids of jobs that broke the node when they were submitted. */
  const unaccepted = new Set<string>()

  /** A watcher that throws is its own affair. */
  const tell = (event: SchedulerEvent): void => {
    for (const listener of listeners) {
      try {
        listener(event)
      } catch (error) {
        logger.warn('a watcher threw', { error: String(error) })
      }
    }
  }

  /** When each node said so last: each refused message says so. Of each by itself: what a stranger says keeps nobody else's word from being told. */
  const duplicatedAt = new Map<string, number>()
  const duplicated = (node: string): void => {
    const at = clock.now()
    if (at < (duplicatedAt.get(node) ?? Number.NEGATIVE_INFINITY) + settings.announcementTtl) return
    duplicatedAt.delete(node)
    duplicatedAt.set(node, at)
    forgetOldest(duplicatedAt, mostDuplicated)
    tell({ type: 'duplicate-identity', node, at })
  }

  const compute =
    options.compute &&
    createComputeRole({
      options: options.compute,
      settings,
      store,
      clock,
      random: options.random,
      workspace,
      sources,
      publishers,
      queryManifest: (requester, shard, { signal }) => queryManifest(transport, requester, shard, { signal }),
      held: (requester) => leases.held(requester),
      permit: ({ id, requester, terms }, options) => leases.permit({ execution: id, requester, lease: terms.lease }, options),
      progress: (context, _phase, done, total) =>
        leases.progress(context.id, context.requester, total !== undefined && total > 0 ? Math.min(1, done / total) : undefined),
    })

  const settledIn = (engine: string): boolean => {
    const heardOfEverybody = announcer.gossips() && clock.now() - startedAt > settings.announcementTtl / 3
    return heardOfEverybody || sampler.isSettled(engine) || transport.peerCount() === 0
  }

  const knownNodes = (): number => Math.max(directory.size, transport.peerCount() + (compute ? 1 : 0))

  /** A node that was not in need of others yet knows nobody where nodes do not announce themselves to all: it asks for them, for a while. */
  const lookAround = async (engine: string, signal: AbortSignal): Promise<void> => {
    for (let looks = 0; looks < mostLooks && directory.count(engine) < 1 && !settledIn(engine); looks++) {
      sampler.need(engine, true)
      await new Promise<void>((resolve) => clock.at(clock.now() + lookEvery, resolve))
      signal.throwIfAborted()
    }
  }
  const patience = createPatience({ clock, settings, random: options.random, logger, jumped: () => keepSelf() })

  const kernel = createKernel({
    store,
    clock,
    beforeTurn: patience.check,
    failed: () => {
      leases.unsure()
      openJobs.unsure()
    },
    context: {
      kinds: createKinds({
        network,
        self,
        settings,
        specs,
        directory,
        fittings,
        rankers: options.rankers ?? defaultRankers,
        rankerFailed: (job, ranker, why) => rankerFailed(job, ranker, why),
        failures,
        random,
        now: () => clock.now(),
        compute,
        heardAt: (node) => leases.heardAt(node),
        settledIn,
      }),
      encode: ({ to, type, body }, by, verified) =>
        encodeMessage({ network, from: self, to, incarnation: by, type, body } as AnyDraft, verified ? identity.sign : undefined),
      incarnation: () => incarnation,
      equivocated: ({ kind, id, actor }, slot) =>
        logger.warn('a peer filled a slot twice with different content, or fills too many: nothing changes', { from: actor, kind, id, slot }),
      pending: { of: (lane) => outbox?.pending(lane) ?? [], interrupting },
      freed: (transaction) => compute?.freed(transaction) ?? [],
      held: patience.until,
      refusals: settings.refusals,
      recorded: histories.recorded,
      saved: (transition) => compute?.saved(transition) ?? false,
      undone: () => compute?.undone(),
      report,
      fault: (event, error) => {
        if (event.kind === 'job' && event.event.type === 'submit') unaccepted.add(event.id)
        logger.error('an event broke its machine', {
          kind: event.kind,
          id: event.id,
          event: event.event.type,
          error: error instanceof Error ? (error.stack ?? error.message) : String(error),
        })
      },
    },
  })

  const rankerFailed = createRankerFaults({ submit: kernel.submit, logger, report })
  const peers = createPeers({ store, clock, lease: settings.lease, logger })

  const leases = createLeases({
    peers,
    network,
    incarnation: () => incarnation,
    store,
    kernel,
    clock,
    transport,
    settings,
    logger,
    onBeat: patience.check,
    onHeard: (peer) => outbox?.heard(peer),
    report,
    onProgress: (node, shardId, phase, fraction) =>
      tell({ type: 'progress', job: jobOf(shardId), shard: shardIndexOf(shardId), node, phase, ...(fraction !== undefined && { fraction }) }),
  })

  const openJobs = createOpenJobs({ store, kernel })
  const shardNews = createShardNews(kernel)
  const inbox = createInbox({
    network,
    self,
    check: options.check,
    store,
    specs,
    peers,
    settings,
    computes: compute !== undefined,
    asks: createAskLimit({ clock, settings }),
    logger,
  })
  const retention = createRetention({ store, clock, settings, heardAt: peers.heardAt, running: leases.running, report })
  const announcer = createAnnouncer({
    network,
    identity,
    check: options.check,
    incarnation: () => incarnation,
    clock: clock.calendar,
    store,
    transport,
    directory,
    settings,
    compute,
    logger,
    report,
    duplicated: () => duplicated(self),
  })

  const sampler = createSampler({
    network,
    self,
    check: options.check,
    clock: clock.calendar,
    random,
    transport,
    directory,
    patience: settings.widen,
    target: settings.directoryTarget,
    ttl: settings.announcementTtl,
    gossips: () => announcer.gossips(),
    report,
  })

  /** What the directory learns from what happens: a shard looks for a node, an execution failed by its node's fault. */
  const noticed = ({ kind, id, from, to, context }: Transition): void => {
    // A shard that waits, and goes on waiting, still looks for a node.
    if (from === to && to !== 'waiting') return
    const looking = kind === 'job' && to === 'planning' ? id : kind === 'shard' && (to === 'placing' || to === 'waiting') ? jobOf(id) : undefined
    if (looking !== undefined) sampler.need(store.read((reader) => specs.get(reader, looking)).task.engine.type, to === 'waiting')
    if (kind === 'execution' && (to === 'failed' || to === 'lost')) {
      const { node, failure } = context as unknown as ExecutionContext
      if (failure !== undefined && failureTable[failure.code].by === 'node') failures.note(node)
    }
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
        const { node, shardId } = transition.context as unknown as ExecutionContext
        return { type: 'transition', job: jobOf(shardId), shard: shardIndexOf(shardId), node, transition }
      }
      default:
        return { type: 'transition', transition }
    }
  }

  const onTransition = (transition: Transition): void => {
    noticed(transition)
    ends.turned(transition)
    if (listeners.size > 0) tell(describe(transition))
  }

  /** Lets the first waiting ask go on that fits into what is free now: in the same turn, the others follow. */
  const serveQueue = (): void => {
    const events = compute === undefined ? [] : store.read(compute.freed)
    if (events.length > 0) void kernel.submit(events.map((event) => ({ ...event, actor: 'queue' }))).catch(report)
  }

  const nextIncarnation = (): Incarnation => {
    const before = store.read((reader) => reader.get('node', 'self'))?.data as unknown as (Incarnation & { readonly ahead?: number }) | undefined
    // Rows hold the node's own time. Where something is open, it goes on; else it begins anew with the time of day.
    if (objectKinds.some((kind) => store.read((reader) => reader.list(kind, { open: true, limit: 1 })).length > 0)) {
      clock.shift(before?.ahead ?? 0)
      patience.begin()
    }
    const next: Incarnation = {
      // The time of day, so that a node whose store was lost or set back does not seem older than it was.
      counter: Math.max((before?.counter ?? 0) + 1, clock.calendar.now()),
      id: Array.from({ length: 16 }, () => Math.floor(options.random() * 16).toString(16)).join(''),
    }
    return next
  }

  const keepSelf = (): void => {
    const data = { ...incarnation, ahead: clock.ahead() }
    store.transact((transaction) => transaction.put({ kind: 'node', id: 'self', state: 'started', open: true, version: incarnation.counter, data }))
  }

  /** Objects without a machine would be due for ever. */
  const requireCompute = (): void => {
    if (compute === undefined && store.read((reader) => reader.list('compute', { open: true, limit: 1 })).length > 0)
      throw new StartError('compute-missing', 'the store holds executions that are not over: start the node with its compute role, or with a store of its own')
  }

  let isBegun = false
  const start = async (): Promise<void> => {
    if (isBegun) throw new SchedulerError('started-before', 'this scheduler was started before')
    requireCompute()
    isBegun = true
    incarnation = nextIncarnation()
    keepSelf()
    startedAt = clock.now()
    await transport.start()
    await compute?.start()
    await compute?.sweep()
    outbox = createOutbox({
      store,
      kernel,
      clock,
      transport,
      random: options.random,
      performers: { ...requesterPerformers({ clock, store, specs, sources, publishers, workspace }), ...compute?.performers },
      rejected: (entry, rejection) => undeliverable({ network, self, logger, duplicated }, entry, rejection),
      interrupting,
      report,
      failed: (entry: OutboxEntry, error) => {
        logger.warn('an effect failed', { kind: entry.kind, id: entry.id, effect: entry.type, error: String(error) })
        return entry.kind === 'compute' ? computeFailed(entry, error) : requesterFailed(entry, error)
      },
    })
    subscriptions.push(
      kernel.onTransition(onTransition),
      kernel.onTurn((effects, dropped) => outbox?.accept(effects, dropped)),
      kernel.onTurn(histories.turned),
      retention,
      transport.receive(async (from, frame) => {
        outbox?.heard(from)
        const { events, rejections } = inbox.read(from, frame)
        await kernel.submit(events)
        return rejections
      }),
      serveManifests(transport, store),
      serveSamples({ network, clock: clock.calendar, random, transport, directory, own: announcer.own }),
      ...(compute
        ? [
            serveAssessments(transport, clock, compute, settings.assess),
            serveLogs({ network, transport, store, clock, kernel, workspace, written: compute.written }),
          ]
        : []),
    )
    leases.start()
    announcer.start()
    retention.start()
    kernel.start()
    outbox.resume()
    serveQueue()
  }

  const stop = async (): Promise<void> => {
    stopping.abort(new DOMException('the node is stopping', 'AbortError'))
    kernel.stop()
    announcer[Symbol.dispose]()
    sampler[Symbol.dispose]()
    leases[Symbol.dispose]()
    openJobs[Symbol.dispose]()
    shardNews[Symbol.dispose]()
    for (const subscription of subscriptions.splice(0).reverse()) subscription[Symbol.dispose]()
    await outbox?.stop()
    kernel.flush()
    outbox = undefined
  }

  const requireAcceptable = (job: KnownJob): void => requireSubmittable(job, methods, knownNodes())

  /** A requester for which something is kept answers every heartbeat; one of two may be lost. */
  const awayAt = (requester: string): number =>
    requester === self ? Infinity : (peers.heardAt(requester) ?? Number.NEGATIVE_INFINITY) + 2 * settings.heartbeat

  let draining = false
  const drain = async (signal: AbortSignal | undefined): Promise<void> => {
    signal?.throwIfAborted()
    const stopped = new SchedulerError('stopped', 'the node is not running: there is nothing to drain')
    if (outbox === undefined || stopping.signal.aborted) throw stopped
    draining = true
    compute?.drain()
    announcer.renew()
    await declineWaiting({ store, kernel })
    const ending = { signal: endingWith(signal) }
    try {
      await allOver({ store, kernel, clock, awayAt }, ending)
      await outbox.said(ending)
    } catch (error) {
      signal?.throwIfAborted()
      throw stopping.signal.aborted ? stopped : error
    }
  }

  const resolved = (spec: JobSpec): KnownJob => {
    if (outbox === undefined || stopping.signal.aborted) throw new SubmitError('not-started', 'the node has not started, or is stopping')
    return specs.resolve(spec)
  }

  const submissions = createSubmissions({
    store,
    specs,
    submit: kernel.submit,
    jobId: options.jobId,
    newJob: (id, { specCid, resolved }) => newJob(id, specCid, resolved, settings, clock.now()),
    requireAcceptable: (job) => {
      if (draining) throw new SubmitError('draining', 'the node takes no new jobs: it is about to stop')
      requireAcceptable(job)
    },
    wasBroken: (id) => unaccepted.delete(id),
  })

  const endingWith = (signal: AbortSignal | undefined): AbortSignal => (signal ? AbortSignal.any([signal, stopping.signal]) : stopping.signal)

  return {
    nodeId: self,
    start,
    drain: ({ signal } = {}) => drain(signal),
    stop,
    [Symbol.asyncDispose]: stop,
    submit: async (spec, { key } = {}) => await submissions.submit(resolved(spec), key),
    plan: async (spec, { signal } = {}) => {
      const known = resolved(spec)
      requireAcceptable(known)
      const ending = endingWith(signal)
      ending.throwIfAborted()
      await lookAround(known.task.engine.type, ending)
      const world = {
        transport,
        clock,
        directory,
        sources,
        rankers: options.rankers ?? defaultRankers,
        failures: failures.recent,
        random: options.random,
        logger,
      }
      return await dryRun(known, { ...world, within: settings.assess }, { signal: ending })
    },
    cancel: async (jobId) => {
      if (store.read((reader) => reader.get('job', jobId))?.open === true)
        await kernel.submit([{ kind: 'job', id: jobId, event: { type: 'cancel' }, actor: 'user' }])
    },
    job: (jobId) => store.read((reader) => jobView(reader, jobId)),
    jobs: (where) => store.read((reader) => jobViews(reader, where)),
    spec: (jobId) => store.read((reader) => jobSpecOf(reader, jobId)),
    shards: (jobId, page) => store.read((reader) => shardViews(reader, jobId, page)),
    finished: (jobId, { signal } = {}) => ends.wait(jobId, signal),
    result: (jobId) => jobResult(store.read, jobId),
    resultHead: (jobId) => store.read((reader) => jobHead(reader, jobId)),
    history: histories.ofJob,
    executionHistory: histories.ofExecution,
    subscribe: (jobId, options = {}) => histories.subscribe(jobId, options),
    logs: (jobId, options = {}) =>
      followLogs({ network, store, specs, clock, transport, publishers, news: shardNews, stopping: stopping.signal }, jobId, options),
    watch: (listener) => {
      listeners.add(listener)
      return { [Symbol.dispose]: () => void listeners.delete(listener) }
    },
    standing: () => ({
      incarnation,
      ...(compute && { ...compute.inventory(), ...leases.standing() }),
      draining,
      unsent: outbox?.unsent() ?? 0,
      jobs: { open: openJobs.count() },
    }),
    executions: (page) => (compute === undefined ? [] : store.read((reader) => computeViews(reader, page))),
    nodes: () => directory.all(),
    partitions: ({ signal } = {}) =>
      survey({ network, self, clock: clock.calendar, random, transport, directory, patience: settings.widen }, { signal: endingWith(signal) }),
  }
}
