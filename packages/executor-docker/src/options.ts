import type { AbortOptions } from '@skrei/executor'
import type { Device } from '@skrei/job-spec'

/** Where the engine listens, unless it is said otherwise. */
export const defaultSocketPath = '/var/run/docker.sock'

export interface DockerOptions {
  /** Where it keeps records and output of executions until they are removed. One executor a directory. Made if it is not there. */
  readonly directory: string
  /** The socket of the engine, which must run on this machine: inputs and outputs are directories of both. Default: `/var/run/docker.sock`. */
  readonly socketPath?: string
  /** Containers are called `<namespace>.<execution>`. Nodes that share an engine share it too, so that the engine refuses an execution that another runs. Default: `skrei`. */
  readonly namespace?: string
  /** What containers are labelled with as their node. Default: none. */
  readonly node?: string
  readonly images?: ImageOptions
  readonly network?: NetworkOptions
  /** Whether a job may ask for `engine.user: root` (who has none of root's capabilities). Default: no. */
  readonly allowRoot?: boolean
  /** `user:group`, in numbers, of programs whose image and job name no user, or root. Default: those of this process; 65534:65534 where that is root. */
  readonly user?: string
  /** Bytes of `/tmp` and of each volume that an image declares. They count as memory. Default: 64 MiB. */
  readonly scratch?: number
  /** Processes and threads of a container. Default: 512. */
  readonly processes?: number
  /** Milliseconds between two looks at how much a program has written to its outputs. Default: 100. */
  readonly outputInterval?: number
  /** Bytes of the outputs' disk that are kept free: below it, programs that have outputs are ended with `disk-full`. Default: 256 MiB. */
  readonly diskReserve?: number
  /** Milliseconds between two samples of evidence. Default: 100. 0 takes none, and `usage` then has only the wall time. */
  readonly evidenceInterval?: number
  /** What gives containers devices: see `@skrei/executor-docker-gpu`. Default: nothing does. */
  readonly devices?: DeviceDriver
}

export interface ImageOptions {
  /** Patterns of images that may run, held against the full name (`docker.io/library/busybox:latest`): globs of job files, where `*` does not cross a slash. Default: every image. */
  readonly allow?: readonly string[]
  /** Whether a job may name a registry at an address that is not public: of this machine, or its network. Default: no. */
  readonly privateRegistries?: boolean
  /** Whether images may be pulled at all. Default: yes. */
  readonly pull?: boolean
  /** Milliseconds that a pull may take. Default: 10 minutes. */
  readonly timeout?: number
  /** A file in the format of the Docker client (`~/.docker/config.json`) with the credentials of registries. Default: none are sent. */
  readonly credentialsFile?: string
}

export interface NetworkOptions {
  /** Whether a job may have the engine's default network: the Internet, the machine's own network and its services. Default: no. */
  readonly full?: boolean
  /** Whether a job may reach the domains that it names over HTTP and HTTPS, and which. Needs root and iptables. Default: no. */
  readonly http?: boolean | HttpOptions
}

export interface HttpOptions {
  /** Domains that jobs may name: `example.org`, `*.example.org`. Default: every domain. */
  readonly domains?: readonly string[]
  /** Ports that can be reached. Default: 80 and 443. */
  readonly ports?: readonly number[]
  /** Whether domains may lead to addresses that are not public. Default: no. */
  readonly privateAddresses?: boolean
  /** The first two numbers of the addresses that the containers' networks are cut from. Default: `10.213`. */
  readonly pool?: string
  /** Port of the proxy on each of these networks. Default: 3128. */
  readonly port?: number
}

export interface DeviceGrant {
  /** Added to the container's `HostConfig`. */
  readonly hostConfig: Readonly<Record<string, unknown>>
  /** Stands above what the image and the job say. */
  readonly env: Readonly<Record<string, string>>
}

/** Devices of the node that containers can be given. */
export interface DeviceDriver {
  list(options?: AbortOptions): Promise<readonly Device[]>
  /** What a container is created with so that it sees these devices and no others. Rejects where one is not there (any more). */
  grant(ids: readonly string[]): Promise<DeviceGrant>
  /** Counters of these devices, for the evidence. */
  counters?(ids: readonly string[], options?: AbortOptions): Promise<Readonly<Record<string, number>>>
}
