import { resolve } from 'node:path'
import { setTimeout as pause } from 'node:timers/promises'
import type { AbortOptions, Executor } from '@skrei/executor'
import { directoryRecords, outputPath } from '@skrei/executor/directory-records'
import { type Execution, executions, type Left, type Outcome } from '@skrei/executor/executions'
import { type DockerEngineSpec, deviceFits, type Failure, failureOf, type Refusal, type Task } from '@skrei/job-spec'
import { containerConfig, isRoot } from './container-config.ts'
import { containerName, homeLabel, labels } from './container-name.ts'
import { dockerodeClient } from './dockerode-client.ts'
import { type EngineClient, type EngineContainer, type EngineImage, type EngineOutput, engineStatus } from './engine-client.ts'
import { evidence } from './evidence.ts'
import { images } from './images.ts'
import { type Attachment, type NetworkSeams, networks, noNetwork } from './networks.ts'
import { type DeviceGrant, type DockerOptions, defaultSocketPath } from './options.ts'
import { endingOf, startFailure } from './outcome.ts'
import { goOn } from './output.ts'
import { checkOutputs, empty, open, watchOutputs, writable } from './outputs.ts'

export type DockerExecutor = Executor & AsyncDisposable

type DockerTask = Extract<Task['engine'], { type: 'docker' }>
const isDocker = (engine: Task['engine']): engine is DockerTask => engine.type === 'docker'

type Note = Readonly<Record<string, string>>
/** What is noted of an execution: `container` once there is one, `ended` (its outcome) once that is known, and before the container is removed. */
type Known = { readonly container?: string; readonly ended?: string }

/** A container that has been started. */
interface Begun {
  readonly id: string
  /** Whether it did when it was last looked at. */
  readonly runs: boolean
  readonly startedAt: number
  readonly network: Attachment
  /** Its output from its start on, where it was this process that started it. */
  readonly output?: AsyncIterable<EngineOutput>
}

const mebibyte = 2 ** 20
/** The least that a Docker engine takes. */
const leastMemory = 6 * mebibyte
/** Seconds that the engine's own end of a container comes after the node's. */
const grace = 1
const longestSeconds = 2 ** 31 - 1
/** Milliseconds for which an engine that does not answer is waited for while a container of it runs. */
const patience = 60_000

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
  const live = new Set<Promise<unknown>>()
  const removals = new Map<string, Promise<void>>()

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
    await removals.get(id)
    const removal = (async () => {
      const found = await engine.inspect(nameOf(id))
      if (found !== undefined && isOwn(found.labels)) await engine.remove(found.id)
      const network = await engine.network(nameOf(id))
      if (network !== undefined && isOwn(network.labels)) await engine.removeNetwork(nameOf(id))
    })()
    removals.set(id, removal)
    try {
      await removal
    } finally {
      removals.delete(id)
    }
  }
  /** Removal that nobody waits for here: `remove` and disposing do. What fails is found again as a leftover. */
  const clearLater = (id: string): void => {
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

  const begin = async (execution: Execution, spec: DockerEngineSpec): Promise<Begun | Outcome> => {
    const { request, signal } = execution
    const failed = (failure: Failure): Outcome => ({ failure, usage: {}, facts: {} })
    let image: EngineImage
    try {
      image = await pool.ensure(spec, { signal, progress: (done, total) => execution.tell({ type: 'progress', phase: 'pull', done, total }) })
    } catch (error) {
      const failure = failureOf(error)
      if (signal.aborted) return { usage: {}, facts: {} }
      if (failure !== undefined) return failed(failure)
      throw error
    }
    execution.tell({ type: 'progress', phase: 'start' })
    const name = nameOf(request.id)
    const marks = {
      [labels.home]: home,
      [labels.execution]: request.id,
      [labels.spec]: request.task.specCid,
      ...(options.node !== undefined && { [labels.node]: options.node }),
    }
    await open(writable(request))
    const network = await net.attach(request, name, marks)
    try {
      const config = containerConfig({
        request,
        engine: spec,
        image,
        user: userOf(spec, image),
        labels: marks,
        network,
        devices: await grantOf(request.devices),
        scratch,
        processes: options.processes ?? 512,
      })
      const id = await engine.create(name, config)
      await execution.note({ container: id })
      if (signal.aborted) {
        await network[Symbol.asyncDispose]()
        return { usage: {}, facts: {} }
      }
      const output = await engine.attach(id, { signal: closing.signal })
      await engine.start(id, secondsOf(request.task.timeout))
      return { id, runs: true, startedAt: Date.now(), network, output }
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

  /** Follows a container that has been started, whoever started it, until it has ended. */
  const follow = async (execution: Execution, begun: Begun): Promise<Outcome | Left> => {
    const { network } = begun
    const { request, signal } = execution
    const { task } = request
    const paths = writable(request)
    const before = Math.max(0, Date.now() - begun.startedAt)
    const began = performance.now()
    const elapsed = (): number => before + performance.now() - began
    let exceeded: Failure | undefined
    let over = false
    // Again and again, as the engine may be down just now.
    const killed = async (): Promise<void> => {
      while (!over && !closing.signal.aborted) {
        const answered = await engine.kill(begun.id).then(
          () => true,
          () => false,
        )
        if (answered) return
        await pause(250)
      }
    }
    const kill = (): void => void killed()
    signal.addEventListener('abort', kill)
    // From here on it can fail only as the program's fault, and `task.timeout` counts. What has ended in time has, whatever the time is now.
    if (begun.runs) execution.running(elapsed())
    if (signal.aborted) kill()
    const more = options.devices?.counters
    using samples = evidence({
      engine,
      container: begun.id,
      interval: begun.runs ? (options.evidenceInterval ?? 100) : 0,
      ...(more && request.devices.length > 0 && { more: () => more(request.devices, { signal: closing.signal }) }),
      tell: execution.tell,
      elapsed,
    })
    using _ = watchOutputs(paths, task, { interval: options.outputInterval ?? 100, reserve: options.diskReserve ?? 256 * mebibyte }, (failure) => {
      exceeded = failure
      kill()
    })
    try {
      const ending = untilEnded(begun.id, () => task.timeout - elapsed())
      const lost = copied(execution, begun.id, begun.output, ending)
      const [ended, missing] = await Promise.all([ending, lost])
      const { failure: unfit, bytes } = await checkOutputs(paths, task)
      const failure = exceeded ?? unfit
      const wallMs = ended.startedAt !== undefined && ended.endedAt !== undefined ? Math.max(0, ended.endedAt - ended.startedAt) : elapsed()
      return {
        ...(failure === undefined ? endingOf(ended, task) : { failure }),
        usage: { ...samples.usage(), wallMs, outputBytes: bytes },
        facts: { imageId: ended.image, ...Object.fromEntries([...missing].map((stream) => [`${stream}Truncated`, 'true'])) },
      }
    } catch (error) {
      if (closing.signal.aborted) return 'left'
      throw error
    } finally {
      over = true
      signal.removeEventListener('abort', kill)
      await network[Symbol.asyncDispose]()
    }
  }

  /** The container once it has ended; the engine has the order to end it `left()` milliseconds from now, and is given it again where it has forgotten. */
  const untilEnded = async (id: string, left: () => number): Promise<EngineContainer> => {
    let silentSince: number | undefined
    for (;;) {
      closing.signal.throwIfAborted()
      try {
        await engine.endAfter(id, secondsOf(left()), { signal: closing.signal })
        const found = await engine.inspect(id, { signal: closing.signal })
        if (found === undefined) throw new Error(`somebody removed the container ${id} while it ran`)
        if (found.state === 'ended') return found
        silentSince = undefined
      } catch (error) {
        closing.signal.throwIfAborted()
        if (!(typeof error === 'object' && error !== null && 'code' in error && error.code === 'engine')) throw error
        silentSince ??= performance.now()
        if (performance.now() - silentSince > patience) throw error
      }
      await pause(250, undefined, { signal: closing.signal })
    }
  }

  /** Copies the output to its end. Answers the streams of which some is missing. */
  const copied = async (
    execution: Execution,
    id: string,
    fresh: AsyncIterable<EngineOutput> | undefined,
    ending: Promise<EngineContainer>,
  ): Promise<ReadonlySet<string>> => {
    let over = false
    const ended = ending.then(
      () => (over = true),
      () => (over = true),
    )
    if (fresh !== undefined) {
      try {
        for await (const { stream, bytes } of fresh) execution.write(stream, bytes)
        // The engine ends the stream with the container. So does an engine that goes down, or a program that closes its streams.
        await Promise.race([ended, pause(1000, undefined, { signal: closing.signal })])
        if (over) return new Set()
      } catch {
        closing.signal.throwIfAborted()
      }
    }
    for (;;) {
      try {
        return await goOn(execution, engine.logs(id, { signal: closing.signal }), (stream) => outputPath(directory, execution.request.id, stream))
      } catch (error) {
        closing.signal.throwIfAborted()
        // What ended and cannot be read is the fault of the node.
        if (over) throw error
        await pause(250, undefined, { signal: closing.signal })
      }
    }
  }

  const proceed = async (execution: Execution, note: Known, again: boolean): Promise<Outcome | Left | undefined> => {
    const { request } = execution
    const { engine: spec } = request.task
    if (!isDocker(spec)) throw new TypeError(`the docker executor was given engine ${spec.type}`)
    if (note.ended !== undefined) {
      clearLater(request.id)
      return JSON.parse(note.ended) as Outcome
    }
    await removals.get(request.id)
    let found = await find(request.id)
    if (found?.state === 'created') {
      // It never ran.
      await clear(request.id)
      found = undefined
    } else if (found === undefined && note.container !== undefined) return undefined
    if (found === undefined && again) {
      await clear(request.id)
      await empty(writable(request))
    }
    const begun =
      found === undefined
        ? await begin(execution, spec)
        : {
            id: found.id,
            runs: found.state === 'running',
            startedAt: found.startedAt ?? Date.now(),
            network: found.state === 'running' ? await net.attachAgain(request, nameOf(request.id)) : noNetwork,
          }
    const outcome = 'usage' in begun ? begun : await follow(execution, begun)
    if (outcome === 'left') return outcome
    const whole = { ...outcome, facts: { ...(await factsOf(spec, outcome.facts['imageId'])), ...outcome.facts } }
    // The outcome is on record before its container goes: a node that dies in between knows it.
    await execution.note({ ended: JSON.stringify(whole) })
    clearLater(request.id)
    return whole
  }

  const factsOf = async (spec: DockerEngineSpec, imageId: string | undefined): Promise<Note> => {
    const digests = imageId === undefined ? [] : ((await engine.image(imageId))?.digests ?? [])
    const digest = digests.find((one) => one.startsWith(repositoryOf(spec.image))) ?? digests[0]
    return { image: spec.image, ...(digest !== undefined && { imageDigest: digest }) }
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
    },

    [Symbol.asyncDispose]: async () => {
      closing.abort(new Error('the executor was disposed of'))
      while (live.size > 0) await Promise.allSettled(live)
    },
  }
}

/** What the engine is told, which counts in seconds: a little more than is left, as the node's own limit comes first. */
const secondsOf = (milliseconds: number): number => Math.min(longestSeconds, Math.max(0, Math.ceil(milliseconds / 1000)) + grace)

const refusalsOf = (task: Task, spec: DockerTask, allowRoot: boolean, devices: number): readonly Refusal[] => {
  const { resources, outputs } = task
  const refusals: Refusal[] = []
  if (resources.memory < leastMemory)
    refusals.push({ code: 'task-unsupported', detail: `a container has at least ${leastMemory} bytes of memory, and the task asks for ${resources.memory}` })
  if (spec.user !== undefined && isRoot(spec.user) && !allowRoot)
    refusals.push({ code: 'policy', detail: `this node runs no program as root, and engine.user is ${spec.user}` })
  const misplaced = outputs.find(({ path }) => /^\/(proc|sys|dev)?(\/|$)/.test(path))
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

const repositoryOf = (image: string): string => image.split('@')[0]?.replace(/:[^/:]*$/, '') ?? image
