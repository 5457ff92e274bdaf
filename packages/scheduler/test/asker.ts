import { cidOf } from '@skrei/job-spec'
import { type AnyMessage, decodeMessage, encodeMessage } from '@skrei/protocol'
import type { Simulation } from '../src/simulation/index.ts'

const task = {
  specCid: 'b',
  engine: { type: 'noop', duration: 1, files: {} },
  env: {},
  outputs: [],
  resources: { cpu: 1, memory: 1, disk: 1, gpu: { count: 0 } },
  limits: { stdout: 1, stderr: 1, files: 1 },
  network: { mode: 'none' },
  timeout: 1000,
}
const terms = { queue: 60_000, lease: null, publishers: [{ type: 'none' }], verification: 'none', constraints: [], publish: 1000, retention: 1000 }

export const bytesOf = (from: string, to: string, { type, body }: { readonly type: string; readonly body: object }): Uint8Array =>
  encodeMessage({ network: 'test', from, to, incarnation: { counter: 1, id: '1'.repeat(16) }, type, body } as never, () => new Uint8Array(64))

/** Parts of the task are replaced. */
export const askBody = (index: number, change: object = {}) => ({
  askId: `a/${index}`,
  job: 'a',
  task: { ...task, ...change },
  shard: { index: 0, count: 1, manifest: cidOf([]), files: [] },
  terms,
})

/** A requester that says what it is told to, and keeps what it hears. */
export const asker = async (world: Simulation, id: string) => {
  const transport = world.network.join(id)
  await transport.start()
  const got: AnyMessage[] = []
  transport.receive((from, frame) => {
    for (const bytes of frame) got.push(decodeMessage(bytes, { network: 'test', self: id, from, check: () => true, verified: () => false }))
    return Promise.resolve([])
  })
  const send = async (to: string, messages: readonly { readonly type: string; readonly body: object }[]): Promise<void> => {
    const frame = messages.map((message) => bytesOf(id, to, message))
    const sending = transport.send(to, frame, {})
    await world.clock.advance(10)
    await sending
  }
  return {
    got,
    send,
    declines: () => got.flatMap((message) => (message.type === 'decline' ? [message.body] : [])),
    bids: () => got.flatMap((message) => (message.type === 'bid' ? [message.body] : [])),
    /** Asks of these indices, in one frame; parts of the task are replaced. */
    ask: (to: string, indices: readonly number[], change: object = {}): Promise<void> =>
      send(
        to,
        indices.map((index) => ({ type: 'ask', body: askBody(index, change) })),
      ),
  }
}

export const upTo = (count: number): readonly number[] => Array.from({ length: count }, (_, index) => index)
