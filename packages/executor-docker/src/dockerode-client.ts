import Docker from 'dockerode'
import {
  type EngineClient,
  type EngineContainer,
  type EngineCounters,
  EngineError,
  type EngineInfo,
  type PullStep,
  type RegistryCredentials,
} from './engine-client.ts'
import { frames, pieces } from './frames.ts'
import { jsonLines } from './json-lines.ts'
import { launcher } from './launch.ts'
import { written } from './log-lines.ts'

interface Call {
  readonly method: 'GET' | 'POST' | 'DELETE'
  readonly path: string
  readonly query?: Readonly<Record<string, string>>
  readonly body?: unknown
  readonly credentials?: RegistryCredentials | undefined
  readonly stream?: boolean
  readonly signal?: AbortSignal | undefined
}

type Json = Readonly<Record<string, unknown>>
const object = (value: unknown): Json => (typeof value === 'object' && value !== null && !Array.isArray(value) ? (value as Json) : {})
const list = (value: unknown): readonly unknown[] => (Array.isArray(value) ? value : [])
const text = (value: unknown): string => (typeof value === 'string' ? value : '')
const number = (value: unknown): number | undefined => (typeof value === 'number' && Number.isFinite(value) ? value : undefined)
const texts = (value: unknown): Readonly<Record<string, string>> =>
  Object.fromEntries(Object.entries(object(value)).filter((entry): entry is [string, string] => typeof entry[1] === 'string'))

const answered = Object.fromEntries([200, 201, 202, 204, 304].map((status) => [status, true]))
const segment = encodeURIComponent

/** The engine that listens on this socket, through dockerode. The API's version is left out of the paths: what is used here is in all versions since 1.41. */
export const dockerodeClient = (socketPath: string): EngineClient => {
  const { modem } = new Docker({ socketPath })
  const starts = launcher(socketPath)

  const call = ({ method, path, query = {}, body, credentials, stream = false, signal }: Call): Promise<unknown> =>
    new Promise((resolve, reject) => {
      if (signal?.aborted) return reject(signal.reason)
      const search = new URLSearchParams(query).toString()
      modem.dial(
        {
          path: search === '' ? path : `${path}?${search}&`,
          method,
          options: { _query: {}, _body: body ?? {} },
          headers: body === undefined ? {} : { 'Content-Type': 'application/json' },
          isStream: stream,
          statusCodes: answered,
          ...(signal && { abortSignal: signal }),
          ...(credentials && { authconfig: { username: '', password: '', ...credentials } }),
        },
        (error: unknown, answer: unknown) => {
          if (error === null || error === undefined) resolve(answer)
          else reject(signal?.aborted ? signal.reason : engineError(error, socketPath))
        },
      )
    })
  const streamed = async (asked: Omit<Call, 'stream'>): Promise<AsyncIterable<Uint8Array>> =>
    (await call({ ...asked, stream: true })) as AsyncIterable<Uint8Array>

  const orUndefined = async <T>(work: Promise<T>): Promise<T | undefined> => {
    try {
      return await work
    } catch (error) {
      if (error instanceof EngineError && error.status === 404) return undefined
      throw error
    }
  }
  const container = (name: string, rest = ''): string => `/containers/${segment(name)}${rest}`

  return {
    version: async ({ signal } = {}) => {
      const answer = object(await call({ method: 'GET', path: '/version', signal }))
      return { version: text(answer['Version']), apiVersion: text(answer['ApiVersion']) }
    },

    info: async ({ signal } = {}) => {
      const [version, info] = await Promise.all([call({ method: 'GET', path: '/version', signal }), call({ method: 'GET', path: '/info', signal })])
      return infoOf(object(version), object(info))
    },

    image: async (reference, { signal } = {}) => {
      // A reference is part of the path as it is: the engine takes no escaped slashes.
      const found = await orUndefined(call({ method: 'GET', path: `/images/${reference.split('/').map(segment).join('/')}/json`, signal }))
      if (found === undefined) return undefined
      const image = object(found)
      const config = object(image['Config'])
      return {
        id: text(image['Id']),
        digests: list(image['RepoDigests']).map(text),
        user: text(config['User']),
        volumes: Object.keys(object(config['Volumes'])),
      }
    },

    manifest: async (reference, credentials, { signal } = {}) => {
      await call({ method: 'GET', path: `/distribution/${reference.split('/').map(segment).join('/')}/json`, credentials, signal })
    },

    pull: async function* (reference, credentials, { signal } = {}) {
      const answer = await streamed({ method: 'POST', path: '/images/create', query: { fromImage: reference }, credentials, signal })
      for await (const line of jsonLines(answer)) {
        const step = object(line)
        const failed = text(step['error'])
        if (failed !== '') throw new EngineError(failed, number(object(step['errorDetail'])['code']) ?? 500)
        yield pullStep(step)
      }
    },

    create: async (name, config, { signal } = {}) =>
      text(object(await call({ method: 'POST', path: '/containers/create', query: { name }, body: config, signal }))['Id']),

    inspect: async (name, { signal } = {}) => {
      const found = await orUndefined(call({ method: 'GET', path: container(name, '/json'), signal }))
      return found === undefined ? undefined : containerOf(object(found))
    },

    attach: async (name, { signal } = {}) =>
      pieces(await streamed({ method: 'POST', path: container(name, '/attach'), query: { stream: '1', stdout: '1', stderr: '1' }, signal })),

    logs: async function* (name, { signal } = {}) {
      const query = { stdout: '1', stderr: '1', follow: '1', timestamps: '1' }
      yield* written(frames(await streamed({ method: 'GET', path: container(name, '/logs'), query, signal })))
    },

    start: (id, seconds) => starts.launch(id, seconds),

    endAfter: async (name, seconds, { signal } = {}) => {
      await call({ method: 'POST', path: container(name, '/stop'), query: { t: String(seconds) }, signal })
    },

    kill: async (name, { signal } = {}) => {
      try {
        await call({ method: 'POST', path: container(name, '/kill'), query: { signal: 'SIGKILL' }, signal })
      } catch (error) {
        // 404: not there; 409: does not run.
        if (!(error instanceof EngineError && (error.status === 404 || error.status === 409))) throw error
      }
    },

    remove: async (name, { signal } = {}) => {
      for (let tries = 0; ; tries++) {
        try {
          await call({ method: 'DELETE', path: container(name), query: { force: '1', v: '1' }, signal })
          return
        } catch (error) {
          if (!(error instanceof EngineError)) throw error
          if (error.status === 404) return
          // Somebody else is removing it: over once it is gone.
          if (error.status !== 409 || tries >= 100) throw error
          await new Promise((resolve) => setTimeout(resolve, 50))
        }
      }
    },

    counters: async (name, { signal } = {}) => {
      const stats = await orUndefined(call({ method: 'GET', path: container(name, '/stats'), query: { stream: 'false', 'one-shot': 'true' }, signal }))
      return stats === undefined ? undefined : countersOf(object(stats))
    },

    containers: async (label, value, { signal } = {}) => {
      const filters = JSON.stringify({ label: [`${label}=${value}`] })
      const found = list(await call({ method: 'GET', path: '/containers/json', query: { all: '1', filters }, signal }))
      return found.map((one) => texts(object(one)['Labels']))
    },

    createNetwork: async ({ name, bridge, subnet, gateway, labels }, { signal } = {}) => {
      const body = {
        Name: name,
        CheckDuplicate: true,
        Driver: 'bridge',
        Internal: true,
        IPAM: { Config: [{ Subnet: subnet, Gateway: gateway }] },
        Options: { 'com.docker.network.bridge.name': bridge, 'com.docker.network.bridge.enable_ip_masquerade': 'false' },
        Labels: labels,
      }
      await call({ method: 'POST', path: '/networks/create', body, signal })
    },

    network: async (name, { signal } = {}) => {
      const found = await orUndefined(call({ method: 'GET', path: `/networks/${segment(name)}`, signal }))
      if (found === undefined) return undefined
      const gateway = text(object(list(object(object(found)['IPAM'])['Config'])[0])['Gateway'])
      return { labels: texts(object(found)['Labels']), ...(gateway !== '' && { gateway }) }
    },

    networks: async (label, value, { signal } = {}) => {
      const filters = JSON.stringify({ label: [`${label}=${value}`] })
      const found = list(await call({ method: 'GET', path: '/networks', query: { filters }, signal }))
      return found.map((one) => texts(object(one)['Labels']))
    },

    removeNetwork: async (name, { signal } = {}) => {
      await orUndefined(call({ method: 'DELETE', path: `/networks/${segment(name)}`, signal }))
    },

    [Symbol.asyncDispose]: () => starts[Symbol.asyncDispose](),
  }
}

const engineError = (error: unknown, socketPath: string): EngineError => {
  const { statusCode, json, code, message } = object(error) as { statusCode?: unknown; json?: unknown; code?: unknown; message?: unknown }
  if (typeof statusCode === 'number')
    return new EngineError(text(object(json)['message']) || text(message) || `status ${statusCode}`, statusCode, { cause: error })
  return new EngineError(`the Docker engine at ${socketPath} cannot be reached: ${text(code) || text(message)}`, undefined, { cause: error })
}

/** https://docs.docker.com/reference/api/engine/version/v1.51/#tag/System/operation/SystemInfo */
const infoOf = (version: Json, info: Json): EngineInfo => {
  const cgroup = text(info['CgroupVersion'])
  const images = number(info['Images'])
  return {
    version: text(version['Version']),
    apiVersion: text(version['ApiVersion']),
    ...((cgroup === '1' || cgroup === '2') && { cgroupVersion: cgroup === '1' ? 1 : 2 }),
    ...(text(info['Driver']) !== '' && { storageDriver: text(info['Driver']) }),
    ...(images !== undefined && { images }),
    limits: {
      memory: info['MemoryLimit'] === true,
      swap: info['SwapLimit'] === true,
      cpu: info['CpuCfsQuota'] === true,
      processes: info['PidsLimit'] === true,
    },
    // `name=seccomp,profile=default`
    security: list(info['SecurityOptions']).flatMap((option) => /^name=([^,]+)/.exec(text(option))?.[1] ?? []),
    runtimes: Object.keys(object(info['Runtimes'])),
    devices: list(info['DiscoveredDevices']).flatMap((found) => {
      const { Source: source, ID: id } = object(found)
      return source === 'cdi' && typeof id === 'string' ? [id] : []
    }),
  }
}

const pullStep = (step: Json): PullStep => {
  const detail = object(step['progressDetail'])
  const [done, total] = [number(detail['current']), number(detail['total'])]
  return { layer: text(step['id']), status: text(step['status']), ...(done !== undefined && { done }), ...(total !== undefined && { total }) }
}

/** The engine writes the year 1 for what has not happened. */
const time = (value: unknown): number | undefined => {
  const at = Date.parse(text(value))
  return Number.isNaN(at) || at <= 0 ? undefined : at
}

const containerOf = (found: Json): EngineContainer => {
  const state = object(found['State'])
  const startedAt = time(state['StartedAt'])
  const endedAt = time(state['FinishedAt'])
  const status = text(state['Status'])
  const pid = number(state['Pid']) ?? 0
  return {
    id: text(found['Id']),
    image: text(found['Image']),
    labels: texts(object(found['Config'])['Labels']),
    state: status === 'created' ? 'created' : state['Running'] === true ? 'running' : 'ended',
    exitCode: number(state['ExitCode']) ?? 0,
    outOfMemory: state['OOMKilled'] === true,
    error: text(state['Error']),
    ...(pid > 0 && { pid }),
    ...(startedAt !== undefined && { startedAt }),
    ...(endedAt !== undefined && { endedAt }),
  }
}

/** https://docs.docker.com/reference/api/engine/version/v1.41/#tag/Container/operation/ContainerStats; version 2 of cgroups has no peak, and writes `read` small. */
const countersOf = (stats: Json): EngineCounters | undefined => {
  const processes = number(object(stats['pids_stats'])['current'])
  const nanoseconds = number(object(object(stats['cpu_stats'])['cpu_usage'])['total_usage'])
  if (processes === undefined || nanoseconds === undefined) return undefined
  const memory = object(stats['memory_stats'])
  const networks = Object.values(object(stats['networks'])).map(object)
  const blocks = list(object(stats['blkio_stats'])['io_service_bytes_recursive']).map(object)
  const sum = (values: readonly (number | undefined)[]): number => values.reduce<number>((total, value) => total + (value ?? 0), 0)
  const block = (operation: string) => sum(blocks.filter((one) => text(one['op']).toLowerCase() === operation).map((one) => number(one['value'])))
  const [usage, peak] = [number(memory['usage']), number(memory['max_usage'])]
  return {
    cpuMs: nanoseconds / 1e6,
    processes,
    ...(usage !== undefined && { memory: usage }),
    ...(peak !== undefined && { memoryPeak: peak }),
    ...(blocks.length > 0 && { blockReadBytes: block('read'), blockWriteBytes: block('write') }),
    ...(networks.length > 0 && {
      networkReceivedBytes: sum(networks.map((one) => number(one['rx_bytes']))),
      networkSentBytes: sum(networks.map((one) => number(one['tx_bytes']))),
    }),
  }
}
