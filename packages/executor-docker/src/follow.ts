import { setTimeout as pause } from 'node:timers/promises'
import { outputPath } from '@skrei/executor/directory-records'
import type { Execution, Left, Outcome } from '@skrei/executor/executions'
import type { DockerEngineSpec, Failure } from '@skrei/job-spec'
import { containerCounters } from './counters.ts'
import type { EngineClient, EngineContainer, EngineImage, EngineOutput } from './engine-client.ts'
import { evidence } from './evidence.ts'
import type { Attachment } from './networks.ts'
import type { DockerOptions } from './options.ts'
import { endingOf } from './outcome.ts'
import { goOn } from './output.ts'
import { checkOutputs, empty, type Outputs, watchOutputs, writable } from './outputs.ts'

/** A container that has been started. */
export interface Begun {
  readonly id: string
  /** Whether it did when it was last looked at. */
  readonly runs: boolean
  readonly startedAt: number
  readonly network: Attachment
  /** Where it was this process that started it. */
  readonly fresh?: {
    readonly image: EngineImage
    /** Its output from its start on. */
    readonly output: AsyncIterable<EngineOutput>
    readonly ended: Promise<void>
  }
}

interface Ending {
  readonly container: EngineContainer
  readonly outputs: Outputs
}

/** Milliseconds for which an engine that does not answer is waited for while a container of it runs. */
const patience = 60_000
/** Seconds that the engine's own end of a container comes after the node's. */
const grace = 1
const longestSeconds = 2 ** 31 - 1

/** What the engine is told, which counts in seconds: a little more than is left, as the node's own limit comes first. */
export const secondsOf = (milliseconds: number): number => Math.min(longestSeconds, Math.max(0, Math.ceil(milliseconds / 1000)) + grace)

/** Follows containers that have been started, whoever started them, until they have ended, or `closing` is aborted: then they are left as they are. */
export const follower = (engine: EngineClient, options: DockerOptions, closing: AbortSignal) => {
  const countersOf = containerCounters(engine)
  const factsOf = async (spec: DockerEngineSpec, imageId: string, known: EngineImage | undefined): Promise<Readonly<Record<string, string>>> => {
    const digests = (known ?? (await engine.image(imageId)))?.digests ?? []
    const digest = digests.find((one) => one.startsWith(repositoryOf(spec.image))) ?? digests[0]
    return { image: spec.image, ...(digest !== undefined && { imageDigest: digest }), imageId }
  }

  /** What it left once it has ended; the engine has the order to end it `left()` milliseconds from now, and is given it again where it has forgotten. */
  const untilEnded = async ({ id, fresh }: Begun, left: () => number, check: () => Promise<Outputs>): Promise<Ending> => {
    let ended = fresh?.ended
    let silentSince: number | undefined
    for (;;) {
      closing.throwIfAborted()
      try {
        await (ended === undefined ? engine.endAfter(id, secondsOf(left()), { signal: closing }) : unlessAborted(ended, closing))
        const [container, outputs] = await Promise.all([engine.inspect(id, { signal: closing }), check()])
        if (container === undefined) throw new Error(`somebody removed the container ${id} while it ran`)
        if (container.state === 'ended') return { container, outputs }
        silentSince = undefined
      } catch (error) {
        closing.throwIfAborted()
        if (!(typeof error === 'object' && error !== null && 'code' in error && error.code === 'engine')) throw error
        silentSince ??= performance.now()
        if (performance.now() - silentSince > patience) throw error
      }
      ended = undefined
      await pause(250, undefined, { signal: closing })
    }
  }

  /** Copies the output to its end. Answers the streams of which some is missing. */
  const copied = async (execution: Execution, { id, fresh }: Begun, ending: Promise<Ending>): Promise<ReadonlySet<string>> => {
    let over = false
    const ended = ending.then(
      () => (over = true),
      () => (over = true),
    )
    if (fresh !== undefined) {
      try {
        for await (const { stream, bytes } of fresh.output) execution.write(stream, bytes)
        // The engine ends the stream with the container. So does an engine that goes down, or a program that closes its streams.
        await Promise.race([ended, pause(1000, undefined, { signal: closing })])
        if (over) return new Set()
      } catch {
        closing.throwIfAborted()
      }
    }
    for (;;) {
      try {
        return await goOn(execution, engine.logs(id, { signal: closing }), (stream) => outputPath(options.directory, execution.request.id, stream))
      } catch (error) {
        closing.throwIfAborted()
        // What ended and cannot be read is the fault of the node.
        if (over) throw error
        await pause(250, undefined, { signal: closing })
      }
    }
  }

  return async (execution: Execution, spec: DockerEngineSpec, begun: Begun): Promise<Outcome | Left> => {
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
      while (!over && !closing.aborted) {
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
      counters: countersOf(begun.id, task.network.mode !== 'none'),
      interval: begun.runs ? (options.evidenceInterval ?? 100) : 0,
      ...(more && request.devices.length > 0 && { more: () => more(request.devices, { signal: closing }) }),
      tell: execution.tell,
      elapsed,
    })
    using _ = watchOutputs(paths, task, { interval: options.outputInterval ?? 100, reserve: options.diskReserve ?? reserve }, (failure) => {
      exceeded = failure
      kill()
    })
    try {
      const ending = untilEnded(
        begun,
        () => task.timeout - elapsed(),
        () => checkOutputs(paths, task),
      )
      const [{ container, outputs }, missing] = await Promise.all([ending, copied(execution, begun, ending)])
      samples.end()
      const failure = exceeded ?? outputs.failure
      const { startedAt, endedAt } = container
      const wallMs = startedAt !== undefined && endedAt !== undefined ? Math.max(0, endedAt - startedAt) : elapsed()
      const outcome: Outcome = {
        ...(failure === undefined ? endingOf(container, task) : { failure }),
        usage: { ...samples.usage(), wallMs, outputBytes: outputs.bytes },
        facts: {
          ...(await factsOf(spec, container.image, begun.fresh?.image)),
          ...Object.fromEntries([...missing].map((stream) => [`${stream}Truncated`, 'true'])),
        },
      }
      if (outputs.isSpoiled) {
        // Once they are empty nothing shows any more what was wrong with them: a node that dies in between has it on record.
        await execution.note({ ended: JSON.stringify(outcome), isSpoiled: 'true' })
        await empty(paths)
      }
      return outcome
    } catch (error) {
      if (closing.aborted) return 'left'
      throw error
    } finally {
      over = true
      signal.removeEventListener('abort', kill)
      await begun.network[Symbol.asyncDispose]()
    }
  }
}

const reserve = 256 * 2 ** 20

const repositoryOf = (image: string): string => image.split('@')[0]?.replace(/:[^/:]*$/, '') ?? image

/** What the promise comes to; rejects with the signal's reason once that is aborted. */
const unlessAborted = <T>(promise: Promise<T>, signal: AbortSignal): Promise<T> =>
  new Promise((resolve, reject) => {
    const aborted = (): void => reject(signal.reason)
    signal.addEventListener('abort', aborted, { once: true })
    if (signal.aborted) aborted()
    promise.then(resolve, reject).finally(() => signal.removeEventListener('abort', aborted))
  })
