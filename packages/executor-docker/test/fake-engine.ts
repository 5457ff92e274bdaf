import { type ContainerConfig, type EngineClient, type EngineContainer, EngineError, type EngineOutput } from '../src/engine-client.ts'

interface Held {
  readonly name: string
  readonly config: ContainerConfig
  readonly labels: Readonly<Record<string, string>>
  container: EngineContainer
  readonly output: EngineOutput[]
  readonly changed: Set<() => void>
}

export interface FakeEngine extends EngineClient {
  readonly containers_: ReadonlyMap<string, Held>
  /** Every call, by its name; a test may make one fail. */
  readonly calls: string[]
  fail: (call: string) => Error | undefined
  /** What attached readers and the log get. */
  write(name: string, stream: EngineOutput['stream'], text: string): void
  end(name: string, ending?: Partial<EngineContainer>): void
  /** Breaks all streams off, as an engine that restarts does. */
  hangUp(): void
}

/** An engine in memory whose containers do what the test says. */
export const fakeEngine = (): FakeEngine => {
  const held = new Map<string, Held>()
  const calls: string[] = []
  let connection = 0
  const told = (one: Held): void => {
    for (const wake of one.changed) wake()
  }
  const the = (name: string): Held => {
    const found = held.get(name) ?? [...held.values()].find((one) => one.container.id === name)
    if (found === undefined) throw new EngineError('No such container', 404)
    return found
  }
  const called = (name: string): void => {
    calls.push(name)
    const error = engine.fail(name)
    if (error !== undefined) throw error
  }
  const changes = (one: Held, signal: AbortSignal | undefined): Promise<void> =>
    new Promise((resolve) => {
      one.changed.add(resolve)
      signal?.addEventListener('abort', () => resolve(), { once: true })
    })
  const untilEnded = async (name: string, signal?: AbortSignal): Promise<void> => {
    const mine = connection
    while (the(name).container.state === 'running') {
      await changes(the(name), signal)
      signal?.throwIfAborted()
      if (mine !== connection) throw new EngineError('the connection was closed')
    }
  }
  async function* reading(one: Held, signal: AbortSignal | undefined): AsyncGenerator<EngineOutput> {
    const mine = connection
    for (let at = 0; ; ) {
      signal?.throwIfAborted()
      const next = one.output[at]
      if (next !== undefined) {
        at++
        yield next
      } else if (one.container.state === 'ended') return
      else await changes(one, signal)
      if (mine !== connection) throw new EngineError('the connection was closed')
    }
  }
  const engine: FakeEngine = {
    containers_: held,
    calls,
    fail: () => undefined,
    write: (name, stream, text) => {
      const one = the(name)
      one.output.push({ stream, bytes: new TextEncoder().encode(text) })
      told(one)
    },
    end: (name, ending = {}) => {
      const one = the(name)
      one.container = { ...one.container, state: 'ended', endedAt: Date.now(), ...ending }
      told(one)
    },
    hangUp: () => {
      connection++
      for (const one of held.values()) told(one)
    },
    info: async () => ({
      version: '0',
      apiVersion: '1.41',
      limits: { memory: true, swap: true, cpu: true, processes: true },
      security: [],
      runtimes: [],
      devices: [],
    }),
    version: async () => ({ version: '99', apiVersion: '1.99' }),
    image: async (reference) => {
      called('image')
      return reference.includes('absent') ? undefined : { id: 'sha256:1', digests: [], user: '', volumes: [] }
    },
    manifest: async () => called('manifest'),
    pull: async function* () {
      called('pull')
      yield { layer: '', status: '' }
    },
    create: async (name, config) => {
      called('create')
      if (held.has(name)) throw new EngineError('Conflict', 409)
      const labels = config['Labels'] as Readonly<Record<string, string>>
      const container: EngineContainer = { id: `id of ${name}`, image: 'sha256:1', labels, state: 'created', exitCode: 0, outOfMemory: false, error: '' }
      held.set(name, { name, config, labels, container, output: [], changed: new Set() })
      return container.id
    },
    inspect: async (name) => {
      called('inspect')
      return (held.get(name) ?? [...held.values()].find((one) => one.container.id === name))?.container
    },
    attach: async (name, { signal } = {}) => {
      called('attach')
      return reading(the(name), signal)
    },
    logs: async function* (name, { signal } = {}) {
      called('logs')
      yield* reading(the(name), signal)
    },
    start: async (name) => {
      called('start')
      const one = the(name)
      one.container = { ...one.container, state: 'running', startedAt: Date.now() }
      const ended = untilEnded(name)
      ended.catch(() => undefined)
      return { ended }
    },
    endAfter: async (name, _, { signal } = {}) => {
      called('endAfter')
      await untilEnded(name, signal)
    },
    kill: async (name) => {
      called('kill')
      if (the(name).container.state === 'running') engine.end(name, { exitCode: 137 })
    },
    remove: async (name) => {
      called('remove')
      for (const one of [...held.values()].filter(({ container }) => container.id === name)) {
        if (one.container.state === 'running') engine.end(name, { exitCode: 137 })
        held.delete(one.name)
      }
    },
    counters: async () => {
      called('counters')
      return undefined
    },
    containers: async (label, value) => [...held.values()].map(({ labels }) => labels).filter((labels) => labels[label] === value),
    createNetwork: async () => called('createNetwork'),
    network: async () => undefined,
    networks: async () => [],
    removeNetwork: async () => undefined,
    [Symbol.asyncDispose]: async () => undefined,
  }
  return engine
}
