import type { AbortOptions } from '@skrei/executor'

/** What an engine says of itself and of its machine. What it does not say is absent. */
export interface EngineInfo {
  readonly version: string
  readonly apiVersion: string
  readonly cgroupVersion?: 1 | 2
  readonly storageDriver?: string
  /** How many it holds. */
  readonly images?: number
  /** Which limits its kernel holds. */
  readonly limits: { readonly memory: boolean; readonly swap: boolean; readonly cpu: boolean; readonly processes: boolean }
  /** What shields the host: `seccomp`, `apparmor`, `userns`, `rootless`. */
  readonly security: readonly string[]
  readonly runtimes: readonly string[]
  /** Devices that it can give to containers by CDI (`nvidia.com/gpu=0`), as engines since 28.2 list them. */
  readonly devices: readonly string[]
}

/** What of an image matters here. */
export interface EngineImage {
  /** `sha256:…` of its configuration: names exactly one image on this engine. */
  readonly id: string
  /** `repository@sha256:…`: how registries name it. None where it was made on this engine. */
  readonly digests: readonly string[]
  /** The user of its configuration; empty = root. */
  readonly user: string
  /** Paths that the engine would give a volume of its own, without bound. */
  readonly volumes: readonly string[]
}

export interface EngineContainer {
  readonly id: string
  /** The id of the image that it was made from. */
  readonly image: string
  readonly labels: Readonly<Record<string, string>>
  readonly state: 'created' | 'running' | 'ended'
  /** Of its first process while it runs, as the engine's machine counts. */
  readonly pid?: number
  readonly exitCode: number
  readonly outOfMemory: boolean
  /** Why it could not be started, where the engine says so. */
  readonly error: string
  /** Milliseconds since 1970 on the engine's clock; absent where it never came to that. */
  readonly startedAt?: number
  readonly endedAt?: number
}

export interface StartedContainer {
  /** Resolves once it has ended, however it did; rejects where the engine went away meanwhile: then {@link EngineClient.endAfter} tells. */
  readonly ended: Promise<void>
}

export interface EngineOutput {
  readonly stream: 'stdout' | 'stderr'
  readonly bytes: Uint8Array
}

/** Counters of a running container since its start; absent where the engine does not say. */
export interface EngineCounters {
  readonly cpuMs?: number
  readonly memory?: number
  readonly memoryPeak?: number
  readonly blockReadBytes?: number
  readonly blockWriteBytes?: number
  readonly networkReceivedBytes?: number
  readonly networkSentBytes?: number
  readonly processes?: number
}

/** A layer's progress, as the engine tells it. */
export interface PullStep {
  readonly layer: string
  readonly status: string
  readonly done?: number
  readonly total?: number
}

export interface RegistryCredentials {
  readonly username?: string
  readonly password?: string
  readonly identitytoken?: string
  readonly serveraddress: string
}

/** The body of the Engine API's `POST /containers/create`: https://docs.docker.com/reference/api/engine/ */
export type ContainerConfig = Readonly<Record<string, unknown>>

/**
 * All that this package asks of a Docker engine. Containers go by id or name. Where the engine answers with an error the promise rejects with an
 * {@link EngineError} that has the answer's status; where it does not answer, with one that has none.
 */
export interface EngineClient extends AsyncDisposable {
  version(options?: AbortOptions): Promise<{ readonly version: string; readonly apiVersion: string }>
  info(options?: AbortOptions): Promise<EngineInfo>
  image(reference: string, options?: AbortOptions): Promise<EngineImage | undefined>
  /** Asks the registry whether it has the image, and gives it with these credentials. Rejects where not, with the engine's status and the registry's words. */
  manifest(reference: string, credentials: RegistryCredentials | undefined, options?: AbortOptions): Promise<void>
  /** Rejects where the pull fails, also where the engine says so only in the middle of its answer. */
  pull(reference: string, credentials: RegistryCredentials | undefined, options?: AbortOptions): AsyncIterable<PullStep>
  /** Rejects with status 409 where the name is taken. */
  create(name: string, config: ContainerConfig, options?: AbortOptions): Promise<string>
  inspect(container: string, options?: AbortOptions): Promise<EngineContainer | undefined>
  /** The output from now on: resolves once the engine is ready to give it, and holds the program back where it is not read. */
  attach(container: string, options?: AbortOptions): Promise<AsyncIterable<EngineOutput>>
  /** The output that the engine kept, from its beginning, and what comes until the container ends. */
  logs(container: string, options?: AbortOptions): AsyncIterable<EngineOutput>
  /** Starts it, and leaves with the engine the order to kill it after so many seconds: both also where this process is killed before this resolves. Takes the container's id. */
  start(container: string, seconds: number): Promise<StartedContainer>
  /** Leaves with the engine the order to kill the container after so many seconds, besides what it was told before. Resolves once it has ended, however it did. */
  endAfter(container: string, seconds: number, options?: AbortOptions): Promise<void>
  /** SIGKILL. Does nothing where it does not run. */
  kill(container: string, options?: AbortOptions): Promise<void>
  /** Kills it if it runs, and removes it with its anonymous volumes. Idempotent. */
  remove(container: string, options?: AbortOptions): Promise<void>
  /** Undefined where it does not run. May take a second. */
  counters(container: string, options?: AbortOptions): Promise<EngineCounters | undefined>
  /** The labels of all containers, running or not, that carry this one with that value. */
  containers(label: string, value: string, options?: AbortOptions): Promise<readonly Readonly<Record<string, string>>[]>
  /** An internal network of its own bridge. Rejects with status 409 or 403 where name or subnet are taken. */
  createNetwork(network: InternalNetwork, options?: AbortOptions): Promise<void>
  network(name: string, options?: AbortOptions): Promise<{ readonly labels: Readonly<Record<string, string>>; readonly gateway?: string } | undefined>
  /** The labels of all networks that carry this one with that value. */
  networks(label: string, value: string, options?: AbortOptions): Promise<readonly Readonly<Record<string, string>>[]>
  removeNetwork(name: string, options?: AbortOptions): Promise<void>
}

export interface InternalNetwork {
  readonly name: string
  /** The name of the bridge's interface: at most 15 characters. */
  readonly bridge: string
  readonly subnet: string
  readonly gateway: string
  readonly labels: Readonly<Record<string, string>>
}

/** The engine refused, failed, or could not be reached (then without `status`). */
export class EngineError extends Error {
  override readonly name = 'EngineError'
  readonly code = 'engine'
  readonly status: number | undefined

  constructor(message: string, status?: number, options?: ErrorOptions) {
    super(message, options)
    this.status = status
  }
}

/** The status with which the engine answered, if it was the engine that answered. */
export const engineStatus = (error: unknown): number | undefined =>
  typeof error === 'object' && error !== null && 'code' in error && error.code === 'engine' && 'status' in error && typeof error.status === 'number'
    ? error.status
    : undefined
