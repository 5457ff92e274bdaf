import type { Executor, RunEvent, RunExit } from '@skrei/executor'
import type { Capacity, Device, Task } from '@skrei/job-spec'
import { type MemoryStateStore, memoryStateStore, type Snapshot } from '@skrei/state-store/memory'
import type { Publisher, Workspace } from '@skrei/storage'
import type { Transport } from '@skrei/transport'
import { type ClockView, type LinkFaults, type MemoryNetwork, memoryNetwork, type VirtualClock, virtualClock } from '@skrei/transport/memory'
import type { Ranker } from '../directory/ranker.ts'
import type { ComputeOptions, Logger, Scheduler, SchedulerEvent } from '../options.ts'
import { createScheduler } from '../scheduler.ts'
import { defaultSettings, type Settings } from '../settings.ts'
import { type Interference, memoryPublisher, memoryWorkspace, numberedSource } from './fakes.ts'
import { seededRandom } from './random.ts'

/** What happened in the world outside the stores: for invariants that no store can prove. */
export interface Happened {
  readonly at: number
  /** `stopped`: the executor's `stop` of the execution has returned. */
  readonly what: 'started' | 'ended' | 'stopped' | 'published' | 'unpublished'
  readonly node: string
  readonly execution: string
}

export interface SimulatedNode {
  readonly id: string
  readonly capacity: Capacity
  /** What executions may hold together. */
  readonly limits: Capacity
  scheduler: Scheduler
  store: MemoryStateStore
  /** Its end of the network, as it joined. */
  transport: Transport
  /** Its own: it can be set wrong. */
  readonly clock: ClockView
  /** Executions that really run, with what they hold. */
  readonly running: Map<string, Task>
  /** Executions that its publishers are at work on. */
  readonly publishing: Set<string>
  /** What lies in its workspace, by execution: as durable as a disk. */
  readonly files: ReadonlyMap<string, Readonly<Record<string, string>>>
  up: boolean
  /** What survived its last crash. */
  image: Snapshot | undefined
  /** How often its store was set back, or lost: what it had forgotten then, it cannot be held to. */
  setBacks: number
  crash(): void
  /** From what its store held when it crashed; or from what a store held at another time, or from nothing. */
  restart(from?: Snapshot | 'empty'): Promise<void>
}

export interface Simulation {
  readonly clock: VirtualClock
  readonly network: MemoryNetwork
  readonly nodes: readonly SimulatedNode[]
  readonly happened: Happened[]
  readonly events: SchedulerEvent[]
  readonly errors: string[]
  readonly interference: Interference
  /** Every node's. */
  readonly settings: Settings
  /** Called after every transition of every node. */
  onEvent: (node: SimulatedNode, event: SchedulerEvent) => void
  /** Called in the moment in which something happens in the world. */
  onHappened: (node: SimulatedNode, one: Happened) => void
  node(index: number): SimulatedNode
  /** The files of what was published or composed under this CID. */
  contentOf(cid: string): Readonly<Record<string, string>> | undefined
  /** Moves the clock until the job is final; fails after `limit` milliseconds of its time. */
  finish(node: SimulatedNode, jobId: string, limit?: number): Promise<string>
  stop(): Promise<void>
}

/** Before a write, after a commit that nobody knows of yet, after an effect whose result is not stored. */
export type CrashPoint = 'write' | 'commit' | 'effect'

export interface SimulationOptions {
  readonly nodes: number
  readonly seed?: number
  readonly link?: LinkFaults
  readonly capacity?: Partial<Capacity>
  readonly devices?: readonly Device[]
  /** More of every node's compute options. */
  readonly compute?: Partial<ComputeOptions>
  readonly labels?: (index: number) => Readonly<Record<string, string>>
  readonly engines?: (index: number) => readonly string[]
  readonly settings?: Partial<Settings>
  /** What one node has set otherwise. */
  readonly settingsOf?: (index: number) => Partial<Settings>
  /** Default: the scheduler's own. */
  readonly rankers?: readonly Ranker[]
  /** Node 0 runs nothing itself. */
  readonly requesterOnly?: boolean
  /** When a send without an answer fails; milliseconds. Default 1000. */
  readonly timeout?: number
  /** Whose key a node has: that of another makes it its clone. Default its own. */
  readonly identity?: (index: number) => string | undefined
  /** Told what nodes warn of. */
  readonly warned?: (id: string, message: string, fields: Readonly<Record<string, unknown>> | undefined) => void
  /** Those that do not start with the others, but by `restart`. */
  readonly absent?: (index: number) => boolean
  /** How fast a node's clock runs: 1.1 is ten per cent fast. Default 1. */
  readonly rate?: (index: number) => number
  /** Puts something between a node and its network: to see what it says, or to change it. */
  readonly between?: (transport: Transport, id: string) => Transport
  /** Keeps what was told and what happened in `events` and `happened`; they grow without a bound. Default true. */
  readonly record?: boolean
  /** Asked at each such point of each node: true crashes it there. It stays down until somebody restarts it. */
  readonly crash?: (node: string, point: CrashPoint) => boolean
}

/** From a start to a crash. What is over no longer has a say. */
interface Life {
  over: boolean
}

const mebibyte = 2 ** 20

/** A node that crashed does nothing to its disk any more, although its effects go on in this process: they wait for ever. */
const whileAlive = (workspace: Workspace, life: Life): Workspace => {
  const never = new Promise<never>(() => {})
  const unless =
    <Given extends readonly unknown[], T>(call: (...given: Given) => Promise<T>) =>
    (...given: Given): Promise<T> =>
      life.over ? never : call(...given)
  return { ...workspace, open: unless(workspace.open), place: unless(workspace.place), receive: unless(workspace.receive), remove: unless(workspace.remove) }
}

/** A whole network in one process, in virtual time: stores, transport, executors and storage in memory. */
export const createSimulation = async (options: SimulationOptions): Promise<Simulation> => {
  const seed = options.seed ?? 1
  const clock = virtualClock({ start: 1_700_000_000_000 })
  const network = memoryNetwork({ clock, seed, timeout: options.timeout ?? 1000, ...options.link })
  const happened: Happened[] = []
  const events: SchedulerEvent[] = []
  const errors: string[] = []
  const interference: Interference = {}
  const tell = (one: Happened): void => {
    if (options.record !== false) happened.push(one)
    const node = byId.get(one.node)
    if (node) world.onHappened(node, one)
  }
  const byId = new Map<string, SimulatedNode>()
  /** Of executors: as durable as what an engine keeps. */
  const tombstones = new Set<string>()
  const blobs = new Map<string, Readonly<Record<string, string>>>()
  const settings = { ...defaultSettings, lease: 3000, heartbeat: 1000, ...options.settings }
  let jobs = 0

  const world: Simulation = {
    clock,
    network,
    nodes: [],
    happened,
    events,
    errors,
    interference,
    settings,
    onEvent: () => {},
    onHappened: () => {},
    contentOf: (cid) => blobs.get(cid),
    node: (index) => {
      const node = world.nodes[index]
      if (node === undefined) throw new Error(`no node ${index}`)
      return node
    },
    finish: async (node, jobId, limit = 3_600_000) => {
      const end = clock.now() + limit
      while (node.scheduler.job(jobId)?.open !== false) {
        if (clock.now() >= end) throw new Error(`job ${jobId} is still ${node.scheduler.job(jobId)?.state} (seed ${seed})`)
        await clock.advance(50)
      }
      return node.scheduler.job(jobId)?.state ?? ''
    },
    stop: async () => {
      const stopping = Promise.all(world.nodes.filter(({ up }) => up).map(({ scheduler }) => scheduler.stop()))
      await clock.advance(1)
      await stopping
    },
  }

  const logger = (id: string, life: Life): Logger => ({
    debug: () => {},
    info: () => {},
    warn: (message, fields) => options.warned?.(id, message, fields),
    error: (message, fields) => {
      if (!life.over) errors.push(`${id}: ${message} ${JSON.stringify(fields)}`)
    },
  })

  const build = (
    index: number,
    id: string,
    own: ClockView,
    capacity: Capacity,
    running: Map<string, Task>,
    publishing: Set<string>,
    files: Map<string, Record<string, string>>,
    from?: Snapshot,
  ): { scheduler: Scheduler; store: MemoryStateStore; transport: Transport; life: Life } => {
    const transport = network.join(id)
    const life: Life = { over: false }
    const hit = (point: CrashPoint): void => {
      if (life.over || options.crash?.(id, point) !== true) return
      world.node(index).crash()
      throw new Error(`${id} crashed`)
    }
    const store = memoryStateStore({ ...(from && { from }), ...(options.crash && { onWrite: () => hit('write'), onCommit: () => hit('commit') }) })
    const happens = (what: Happened['what'], execution: string): void => {
      if (life.over) return
      tell({ at: clock.now(), what, node: id, execution })
      hit('effect')
    }
    /** Whether it is at work, for the laws; and what a requester does outside has its points too. */
    const done = (publisher: Publisher): Publisher => ({
      ...publisher,
      publish: async (execution, ...given) => {
        if (!life.over) publishing.add(execution)
        try {
          return await publisher.publish(execution, ...given)
        } finally {
          if (!life.over) publishing.delete(execution)
        }
      },
      compose: async (...composed) => {
        const reference = await publisher.compose(...composed)
        hit('effect')
        return reference
      },
      fetch: async function* (...fetched) {
        yield* publisher.fetch(...fetched)
        hit('effect')
      },
    })
    const random = seededRandom(seed * 1000 + index)
    const engines = options.engines?.(index) ?? ['noop']
    const scheduler = createScheduler({
      network: 'test',
      identity: { nodeId: options.identity?.(index) ?? id, sign: () => new Uint8Array(64) },
      check: () => true,
      clock: own,
      random,
      jobId: () => `job-${String(++jobs).padStart(4, '0')}`,
      store,
      transport: options.between?.(transport, id) ?? transport,
      workspace: whileAlive(memoryWorkspace(files), life),
      sources: [numberedSource(interference)],
      publishers: [done(memoryPublisher('ipfs', files, blobs, interference, happens))],
      ...(!(options.requesterOnly && index === 0) && {
        compute: {
          executors: engines.map(fakeExecutor),
          capacity: { ...capacity, ...interference.capacity },
          labels: options.labels?.(index) ?? {},
          ...options.compute,
        },
      }),
      ...(options.rankers && { rankers: options.rankers }),
      settings: { ...settings, ...options.settingsOf?.(index) },
      logger: logger(id, life),
    })

    function fakeExecutor(engine: string): Executor {
      return {
        engine,
        inventory: () => Promise.resolve({ version: '1', devices: options.devices ?? [] }),
        assess: () => Promise.resolve([]),
        run: async function* (request, { signal }) {
          const { id: execution, task } = request
          if (tombstones.has(execution)) {
            yield { type: 'exit', failure: { code: 'cancelled', detail: 'stopped before' }, usage: {}, facts: {} } satisfies RunExit
            return
          }
          await interference.start?.(execution)
          signal?.throwIfAborted()
          if (running.has(execution)) throw new Error(`${execution} runs twice`)
          running.set(execution, task)
          happens('started', execution)
          const spec = task.engine as { duration?: number; exit?: number; files?: Record<string, string>; stdout?: string }
          const ended = (): void => {
            running.delete(execution)
            happens('ended', execution)
          }
          const startedAt = clock.now()
          /** Leaves no listener on the signal: one that has any is kept for ever. */
          const until = async (after: number): Promise<void> => {
            const { promise, resolve, reject } = Promise.withResolvers<void>()
            const alarm = clock.at(startedAt + Math.min(after, task.timeout), resolve)
            const abort = (): void => {
              alarm[Symbol.dispose]()
              reject(signal?.reason)
            }
            signal?.addEventListener('abort', abort)
            try {
              await promise
            } finally {
              signal?.removeEventListener('abort', abort)
            }
          }
          try {
            const written = { stdout: 0, stderr: 0 }
            const write = (stream: 'stdout' | 'stderr', text: string): RunEvent => {
              const bytes = new TextEncoder().encode(text)
              written[stream] += bytes.length
              return { type: 'output', stream, offset: written[stream] - bytes.length, bytes }
            }
            if (spec.stdout !== undefined) yield write('stdout', spec.stdout)
            for (const { after, stream, text } of interference.lines?.(execution) ?? []) {
              await until(after)
              yield write(stream, text)
            }
            await until(spec.duration ?? 0)
          } finally {
            // A node that crashed has no say in what its executions do: the world ended them.
            if (running.get(execution) === task) ended()
          }
          const usage = { wallMs: spec.duration ?? 0 }
          if ((spec.duration ?? 0) > task.timeout) {
            yield { type: 'exit', failure: { code: 'timeout', detail: 'too long' }, usage, facts: {} } satisfies RunExit
            return
          }
          const written = interference.outputs?.(execution, spec.files ?? {}) ?? spec.files ?? {}
          for (const [path, text] of Object.entries(written)) files.set(execution, { ...files.get(execution), [`outputs${path}`]: text })
          const exit = spec.exit ?? 0
          yield {
            type: 'exit',
            exit,
            ...(exit !== 0 && { failure: { code: 'exit-nonzero', detail: `exit code ${exit}` } as const }),
            usage,
            facts: {},
          } satisfies RunExit
        },
        stop: async (execution) => {
          tombstones.add(execution)
          await interference.stop?.(execution)
          happens('stopped', execution)
        },
        leftovers: async function* () {},
        remove: () => Promise.resolve().then(() => hit('effect')),
      }
    }
    return { scheduler, store, transport, life }
  }

  const begins: (() => Promise<void>)[] = []
  const nodes = Array.from({ length: options.nodes }, (_, index) => {
    const id = `node-${String(index).padStart(4, '0')}`
    const capacity = { cpu: 4000, memory: 8192 * mebibyte, disk: 65_536 * mebibyte, ...options.capacity }
    const { cpu = 1, memory = 1 } = options.compute?.overSubscription ?? {}
    const limits = { ...capacity, cpu: capacity.cpu * cpu, memory: capacity.memory * memory }
    const running = new Map<string, Task>()
    const publishing = new Set<string>()
    const files = new Map<string, Record<string, string>>()
    const own = clock.view({ rate: options.rate?.(index) ?? 1 })
    let { life, ...built } = build(index, id, own, capacity, running, publishing, files)
    const node: SimulatedNode = {
      id,
      capacity,
      limits,
      clock: own,
      ...built,
      running,
      publishing,
      files,
      up: false,
      image: undefined,
      setBacks: 0,
      crash: () => {
        const { scheduler, store } = node
        node.up = false
        life.over = true
        network.crash(id)
        for (const execution of running.keys()) tell({ at: clock.now(), what: 'ended', node: id, execution })
        running.clear()
        publishing.clear()
        // Its timers and effects go on running in this process: cut them off from everything.
        void scheduler.stop().catch(() => {})
        // It may be in the middle of a transaction.
        node.image = undefined
        const end = (): void => {
          node.image = store.snapshot()
          store[Symbol.dispose]()
        }
        if (options.crash) queueMicrotask(end)
        else end()
      },
      restart: async (from = node.image) => {
        if (from !== node.image) node.setBacks++
        ;({ life, ...built } = build(index, id, own, capacity, running, publishing, files, from === 'empty' ? undefined : from))
        Object.assign(node, built)
        await begin(node, life)
      },
    }
    if (!options.absent?.(index)) begins.push(() => begin(node, life))
    return node
  })
  for (const node of nodes) byId.set(node.id, node)
  Object.assign(world, { nodes })

  const begin = async (node: SimulatedNode, life: Life): Promise<void> => {
    node.scheduler.watch((event) => {
      if (options.record !== false) events.push(event)
      world.onEvent(node, event)
    })
    const starting = node.scheduler.start().catch((error: unknown) => {
      if (!life.over) throw error
    })
    await clock.advance(0)
    if (life.over) return
    await starting
    node.up = !life.over
  }
  for (const start of begins) await start()
  // Everybody has heard of everybody.
  await clock.advance(2000)
  return world
}
