import { resolve } from 'node:path'
import type { AbortOptions, Executor, RunRequest } from '@skrei/executor'
import { directoryRecords } from '@skrei/executor/directory-records'
import { type Execution, executions, type Left, type Outcome } from '@skrei/executor/executions'
import { type DockerEngineSpec, deviceFits, type Failure, failureOf, type Refusal, type Task } from '@skrei/job-spec'
import { containerConfig, isRoot, isUnmountable, misplacedVolume } from './container-config.ts'
import { containerName, homeLabel, labels } from './container-name.ts'
import { dockerodeClient } from './dockerode-client.ts'
import { type ContainerConfig, type EngineClient, type EngineContainer, type EngineImage, engineStatus } from './engine-client.ts'
import { type Begun, follower, secondsOf } from './follow.ts'
import { images } from './images.ts'
import { type NetworkSeams, networks, noNetwork } from './networks.ts'
import { type DeviceGrant, type DockerOptions, defaultSocketPath } from './options.ts'
import { startFailure } from './outcome.ts'
import { empty, open, writable } from './outputs.ts'

export type DockerExecutor = Executor & AsyncDisposable

type DockerTask = Extract<Task['engine'], { type: 'docker' }>
const isDocker = (engine: Task['engine']): engine is DockerTask => engine.type === 'docker'

/** What is noted of an execution: `container` once there is one; its outcome once it has `ended` and what it left `isSpoiled`. */
type Known = { readonly container?: string; readonly ended?: string; readonly isSpoiled?: string }

/** What the engine has of an execution of this process. */
interface Held {
  readonly container: string
  readonly hasNetwork: boolean
}

const mebibyte = 2 ** 20
/** The least that a Docker engine takes. */
const leastMemory = 6 * mebibyte
/** Milliseconds that a container stays after its end is on record, unless somebody wants it gone. */
const removalPause = 500

/**
 * The engine `docker`: runs images in containers that have nothing but what their task needs. A container goes on while the node is down, is ended by the engine at its time limit, and is
 * taken up again by the next executor on the same directory. Dispose of it to let go of the containers: they run on.
 *
 * Throws (from `run`) where the engine cannot be reached, or answers with what is not the job's fault.
 */
export const dockerExecutor = (options: DockerOptions): DockerExecutor => {
  const engine = dockerodeClient(options.socketPath ?? defaultSocketPath)
  const executor = executorOn(engine, options)
  return {
    ...executor,
    [Symbol.asyncDispose]: async () => {
      await executor[Symbol.asyncDispose]()
      await engine[Symbol.asyncDispose]()
    },
  }
}

/** For tests: on any client of an engine. */
export const executorOn = (engine: EngineClient, options: Omit<DockerOptions, 'socketPath'>, seams: NetworkSeams = {}): DockerExecutor => {
  const directory = resolve(options.directory)
  const home = homeLabel(directory)
  const namespace = options.namespace ?? 'skrei'
  const nobody = options.user ?? ownUser()
  const scratch = options.scratch ?? 64 * mebibyte
  const pool = images(engine, options.images)
  const net = networks(engine, options.network, seams)
  const closing = new AbortController()
  const follow = follower(engine, { ...options, directory }, closing.signal)
  const live = new Set<Promise<unknown>>()
  const removals = new Map<string, Promise<void>>()
  /** Removals that are to come. */
  const due = new Map<string, NodeJS.Timeout>()
  const held = new Map<string, Held>()
  /** Of which nothing is left in the engine, until they are removed. */
  const cleared = new Set<string>()

  const nameOf = (id: string): string => containerName(namespace, id)

  const isOwn = (marks: Readonly<Record<string, string>>): boolean => marks[labels.home] === home

  /** The container of an id. Another node's is never touched. */
  const find = async (id: string): Promise<EngineContainer | undefined> => {
    const found = await engine.inspect(nameOf(id))
    if (found !== undefined && !isOwn(found.labels)) throw new Error(`another node has the container ${nameOf(id)}: the execution is run there`)
    return found
  }

  /** Removes container and network of an id, where they are this node's; one removal of an id at a time. */
  const clear = async (id: string): Promise<void> => {
    clearTimeout(due.get(id))
    due.delete(id)
    await removals.get(id)
    if (cleared.has(id)) return
    const removal = (async () => {
      const own = held.get(id) ?? (await search(id))
      if (own.container !== undefined) await engine.remove(own.container)
      if (own.hasNetwork) await engine.removeNetwork(nameOf(id))
      held.delete(id)
      cleared.add(id)
    })()
    removals.set(id, removal)
    try {
      await removal
    } finally {
      removals.delete(id)
    }
  }
  const search = async (id: string): Promise<{ readonly container?: string; readonly hasNetwork: boolean }> => {
    const [found, network] = await Promise.all([engine.inspect(nameOf(id)), engine.network(nameOf(id))])
    return {
      ...(found !== undefined && isOwn(found.labels) && { container: found.id }),
      hasNetwork: network !== undefined && isOwn(network.labels),
    }
  }
  /** Removal that nobody waits for here: `remove` and disposing do. Not at once: it takes the engine and the disk as long as what comes of a short program. What fails is found again as a leftover. */
  const clearLater = (id: string): void => {
    const timer = setTimeout(() => clearNow(id), removalPause)
    due.set(id, timer)
  }
  const clearNow = (id: string): void => {
    const clearing = clear(id).catch(() => undefined)
    live.add(clearing)
    void clearing.then(() => live.delete(clearing))
  }

  // An image that says root seldom needs it: who needs it says so in the job.
  const userOf = (spec: DockerEngineSpec, image: EngineImage): string => spec.user ?? (isRoot(image.user) ? nobody : image.user)

  const grantOf = async (ids: readonly string[]): Promise<DeviceGrant> => {
    if (ids.length === 0) return { hostConfig: {}, env: {} }
    if (options.devices === undefined) throw new Error(`this executor has no devices, and an execution was given ${ids.join(', ')}`)
    return await options.devices.grant(ids)
  }

  /** Makes the container; or answers the one of this node that has the name already, of which there is no record any more. */
  const create = async (request: RunRequest, config: ContainerConfig): Promise<string | EngineContainer> => {
    const name = nameOf(request.id)
    for (let tries = 0; ; tries++) {
      try {
        return await engine.create(name, config)
      } catch (error) {
        if (engineStatus(error) !== 409 || tries > 2) throw error
        const found = await find(request.id)
        if (found !== undefined && found.state !== 'created') return found
        // It never ran.
        cleared.delete(request.id)
        await clear(request.id)
      }
    }
  }

  const begin = async (execution: Execution, spec: DockerEngineSpec): Promise<Begun | Outcome> => {
    const { request, signal } = execution
    const failed = (failure: Failure): Outcome => ({ failure, usage: {}, facts: {} })
    const ensured = async (anew: boolean): Promise<EngineImage | Outcome> => {
      try {
        const image = await pool.ensure(spec, { anew, signal, progress: (done, total) => execution.tell({ type: 'progress', phase: 'pull', done, total }) })
        const misplaced = misplacedVolume(image, request)
        return misplaced === undefined
          ? image
          : failed({ code: 'module-invalid', detail: `the image declares a volume at ${misplaced.slice(0, 200)}, where this job can have none` })
      } catch (error) {
        const failure = failureOf(error)
        if (signal.aborted) return { usage: {}, facts: {} }
        if (failure !== undefined) return failed(failure)
        throw error
      }
    }
    let image = await ensured(false)
    if ('usage' in image) return image
    execution.tell({ type: 'progress', phase: 'start' })
    const name = nameOf(request.id)
    const marks = {
      [labels.home]: home,
      [labels.execution]: request.id,
      [labels.spec]: request.task.specCid,
      ...(request.job !== undefined && { [labels.job]: request.job }),
      ...(options.node !== undefined && { [labels.node]: options.node }),
    }
    cleared.delete(request.id)
    await open(writable(request))
    const network = await net.attach(request, name, marks)
    try {
      const devices = await grantOf(request.devices)
      const configOf = (of: EngineImage): ContainerConfig =>
        containerConfig({
          request,
          engine: spec,
          image: of,
          user: userOf(spec, of),
          labels: marks,
          network,
          devices,
          scratch,
          processes: options.processes ?? 512,
        })
      let made: string | EngineContainer
      try {
        made = await create(request, configOf(image))
      } catch (error) {
        if (engineStatus(error) !== 404) throw error
        // The image went after it was found.
        image = await ensured(true)
        if ('usage' in image) {
          await network[Symbol.asyncDispose]()
          await clear(request.id)
          return image
        }
        made = await create(request, configOf(image))
      }
      if (typeof made !== 'string') return await takenUp(request, made)
      const id = made
      held.set(request.id, { container: id, hasNetwork: network !== noNetwork })
      // A container that is known by nobody's note is not started.
      const [output] = await Promise.all([engine.attach(id, { signal: closing.signal }), execution.note({ container: id })])
      if (signal.aborted) {
        await network[Symbol.asyncDispose]()
        return { usage: {}, facts: {} }
      }
      const { ended } = await engine.start(id, secondsOf(request.task.timeout))
      return { id, runs: true, startedAt: Date.now(), network, fresh: { image, output, ended } }
    } catch (error) {
      await network[Symbol.asyncDispose]()
      await clear(request.id)
      const status = engineStatus(error)
      const said = error instanceof Error ? error.message : String(error)
      const failure = startFailure(said, request.devices.length)
      if (status !== undefined && status !== 409 && failure !== undefined) return failed(failure)
      throw error
    }
  }

  const takenUp = async (request: RunRequest, found: EngineContainer): Promise<Begun> => ({
    id: found.id,
    runs: found.state === 'running',
    startedAt: found.startedAt ?? Date.now(),
    network: found.state === 'running' ? await net.attachAgain(request, nameOf(request.id)) : noNetwork,
  })

  const proceed = async (execution: Execution, note: Known, again: boolean): Promise<Outcome | Left | undefined> => {
    const { request } = execution
    const { engine: spec } = request.task
    if (!isDocker(spec)) throw new TypeError(`the docker executor was given engine ${spec.type}`)
    if (note.ended !== undefined) {
      if (note.isSpoiled === 'true') await empty(writable(request))
      return JSON.parse(note.ended) as Outcome
    }
    await removals.get(request.id)
    // Of what begins the engine says by itself whether the name is taken. A network is in the way before that.
    let found = again || request.task.network.mode === 'http' ? await find(request.id) : undefined
    if (found?.state === 'created') {
      // It never ran.
      await clear(request.id)
      found = undefined
    } else if (found === undefined && note.container !== undefined) return undefined
    if (found === undefined && again) {
      await clear(request.id)
      await empty(writable(request))
    }
    const begun = found === undefined ? await begin(execution, spec) : await takenUp(request, found)
    return 'usage' in begun ? { ...begun, facts: { image: spec.image, ...begun.facts } } : await follow(execution, spec, begun)
  }

  /** So that disposing can wait for it. */
  const tracked = async <T>(work: Promise<T>): Promise<T> => {
    live.add(work)
    try {
      return await work
    } finally {
      live.delete(work)
    }
  }

  const lifecycle = executions({
    start: async (execution) => {
      const outcome = await tracked(proceed(execution, {}, false))
      if (outcome === undefined) throw new Error('the container is gone')
      return outcome
    },
    resume: (execution, note) => tracked(proceed(execution, note, true)),
    records: directoryRecords(directory),
    // Not before: a node that dies in between learns from the container what it came to.
    recorded: clearLater,
    reap: (id) => clear(id),
  })

  return {
    ...lifecycle,
    engine: 'docker',

    inventory: async ({ signal } = {}) => {
      signal?.throwIfAborted()
      const [{ version, apiVersion }, devices] = await Promise.all([
        engine.version({ ...(signal && { signal }) }),
        options.devices?.list({ ...(signal && { signal }) }) ?? [],
      ])
      return { version: `docker/${version} api/${apiVersion}`, devices }
    },

    assess: async (task, { signal } = {}) => {
      signal?.throwIfAborted()
      const { engine: spec } = task
      if (!isDocker(spec)) return [{ code: 'engine-unavailable', detail: `this executor runs docker, not ${spec.type}` }]
      const { gpu } = task.resources
      const devices = gpu.count === 0 ? [] : ((await options.devices?.list({ ...(signal && { signal }) })) ?? [])
      return [
        ...refusalsOf(task, spec, options.allowRoot === true, devices.filter(deviceFits(gpu)).length),
        ...(await net.assess(task.network)),
        ...(await pool.assess(spec, { ...(signal && { signal }) })),
      ]
    },

    async *leftovers(leftoverOptions?: AbortOptions) {
      const known = new Set<string>()
      for await (const id of lifecycle.leftovers(leftoverOptions)) {
        known.add(id)
        yield id
      }
      // What the engine has of this node without a record of it: a directory that was lost.
      const found = await Promise.all([engine.containers(labels.home, home), engine.networks(labels.home, home)])
      const ids = new Set(found.flat().flatMap((marks) => marks[labels.execution] ?? []))
      for (const id of ids) if (!known.has(id)) yield id
    },

    remove: async (id, removeOptions) => {
      removeOptions?.signal?.throwIfAborted()
      await lifecycle.remove(id, removeOptions)
      await clear(id)
      cleared.delete(id)
    },

    [Symbol.asyncDispose]: async () => {
      closing.abort(new Error('the executor was disposed of'))
      while (live.size > 0 || due.size > 0) {
        for (const id of due.keys()) clearNow(id)
        await Promise.allSettled(live)
      }
    },
  }
}

const refusalsOf = (task: Task, spec: DockerTask, allowRoot: boolean, devices: number): readonly Refusal[] => {
  const { resources, outputs } = task
  const refusals: Refusal[] = []
  if (resources.memory < leastMemory)
    refusals.push({ code: 'task-unsupported', detail: `a container has at least ${leastMemory} bytes of memory, and the task asks for ${resources.memory}` })
  if (spec.user !== undefined && isRoot(spec.user) && !allowRoot)
    refusals.push({ code: 'policy', detail: `this node runs no program as root, and engine.user is ${spec.user}` })
  const misplaced = outputs.find(({ path }) => isUnmountable(path))
  if (misplaced !== undefined) refusals.push({ code: 'task-unsupported', detail: `a container has no output at ${misplaced.path}` })
  if (resources.gpu.count > devices)
    refusals.push({
      code: 'exceeds-node',
      detail: `${resources.gpu.count} fitting GPUs asked, ${devices} in all`,
      resource: 'gpu',
      wanted: resources.gpu.count,
      available: devices,
    })
  return refusals
}

/** Who programs run as that ask for nobody. Root is not among them. */
const ownUser = (): string => {
  const [uid, gid] = [process.getuid?.() ?? 0, process.getgid?.() ?? 0]
  return uid === 0 ? '65534:65534' : `${uid}:${gid}`
}
