import { type ChildProcess, fork } from 'node:child_process'
import { once } from 'node:events'
import { fileURLToPath } from 'node:url'
import { expect, test, vi } from 'vitest'
import { connected, node, portOf, seed } from './nodes.ts'

const program = fileURLToPath(new URL('process-node.ts', import.meta.url))

const child = async (key: Uint8Array, port: number, peer?: string) => {
  const args = [Buffer.from(key).toString('hex'), String(port), ...(peer === undefined ? [] : [peer])]
  const started: ChildProcess = fork(program, args, { execArgv: ['--conditions=@skrei/source', '--no-warnings'] })
  const [addresses] = (await once(started, 'message')) as [string[]]
  return {
    started,
    addresses,
    async [Symbol.asyncDispose]() {
      if (started.exitCode !== null || started.signalCode !== null) return
      started.kill('SIGKILL')
      await once(started, 'exit')
    },
  }
}

test('a process that is killed fails what waits for it, and is found again when it restarts', async () => {
  const key = seed()
  await using first = await child(key, 0)
  const [address = ''] = first.addresses
  const to = address.slice(address.lastIndexOf('/') + 1)
  await using a = await node({ peers: [address] })
  await a.start()
  await connected(a, to)
  const chunks = a.query(to, 'live', new Uint8Array(), {})[Symbol.asyncIterator]()
  expect((await chunks.next()).value).toEqual(Uint8Array.of(1))
  const waiting = [a.send(to, [Uint8Array.of(0)], {}), chunks.next()].map((each) => expect(each).rejects.toMatchObject({ code: 'unreachable' }))
  expect(await once(first.started, 'message')).toEqual(['holding', undefined])
  first.started.kill('SIGKILL')
  await Promise.all(waiting)
  await vi.waitFor(() => expect(a.peer(to)?.connected).toBe(false))
  await using second = await child(key, Number(/\/tcp\/(\d+)/.exec(address)?.[1]))
  expect(second.addresses).toEqual(first.addresses)
  await connected(a, to)
  expect(await a.send(to, [Uint8Array.of(1)], {})).toEqual([])
})

test('a process that has disposed of its transport ends by itself', async () => {
  await using b = await node()
  await b.start()
  const seen: number[] = []
  b.receive(async (_, [message]) => void seen.push(message?.[0] as number))
  await using other = await child(seed(), 0, `/ip4/127.0.0.1/tcp/${portOf(b)}/p2p/${b.self}`)
  if (other.started.exitCode === null) await once(other.started, 'exit')
  expect(other.started.exitCode).toBe(0)
  expect(seen).toEqual([7])
})
