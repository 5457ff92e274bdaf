import { readFileSync } from 'node:fs'
import { createServer, type Server, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import { join } from 'node:path'
import { setTimeout as pause } from 'node:timers/promises'
import { type ApiClient, apiClient, type Job } from '@skrei/api/client'
import { type JobSpec, printJob, readJob } from '@skrei/job-spec'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { bundledMain } from './bundle.ts'
import { namesIn, type Place, place, probeJob, processesWith } from './command-line.ts'
import { type RunningNode, startNode } from './running-node.ts'

// Nodes that are processes of their own, over TCP: whichever is killed, whatever it is doing, each accepted job comes to one result a shard.

/** Nodes on one machine are near: what is not heard of for two seconds is gone. */
const quick = 'settings: { lease: 2s, heartbeat: 500ms, retryAfter: 100ms, announcementTtl: 1500ms }\nallow: { privateAddresses: true }\n'
const timeout = 300_000

interface Network extends AsyncDisposable {
  readonly requester: { node: RunningNode }
  readonly computes: readonly { readonly place: Place; node: RunningNode }[]
  /** Of the requester, wherever it runs. */
  client(): ApiClient
  /** Kills the compute node of this id. */
  kill(nodeId: string): Promise<void>
  restart(nodeId: string): Promise<void>
  restartRequester(): Promise<void>
  /** Starts those that were killed again, waits until nobody has anything left of any job, and ends all of them: fails unless nothing is left on the machine either. */
  endsClean(): Promise<void>
}

const configured = (config: string): Place => {
  const here = place({}, bundledMain())
  here.configure(config)
  return here
}

/** One requester that keeps connections to two compute nodes. */
const network = async (): Promise<Network> => {
  const computes = await Promise.all(
    [0, 1].map(async () => {
      const here = configured(quick)
      return { place: here, node: await startNode(here, '--compute-only') }
    }),
  )
  const requesterPlace = configured(quick)
  const flags = ['--requester-only', ...computes.flatMap(({ node }) => ['--peer', node.address])]
  const requester = { node: await startNode(requesterPlace, ...flags) }
  const client = (): ApiClient => apiClient({ url: requester.node.api })
  while ((await client().nodes()).length < computes.length);
  const computeOf = (nodeId: string): (typeof computes)[number] => {
    const found = computes.find(({ node }) => node.nodeId === nodeId)
    if (found === undefined) throw new Error(`${nodeId} is no compute node of this network`)
    return found
  }
  const restart = async (nodeId: string): Promise<void> => {
    const compute = computeOf(nodeId)
    const port = compute.node.address.split('/')[4]
    compute.node = await startNode(compute.place, '--compute-only', '--listen', `/ip4/127.0.0.1/tcp/${port}`)
  }
  return {
    requester,
    computes,
    client,
    kill: async (nodeId) => void (await computeOf(nodeId).node.end('SIGKILL')),
    restart,
    restartRequester: async () => {
      await requester.node.end('SIGKILL')
      requester.node = await startNode(requesterPlace, ...flags)
    },
    endsClean: async () => {
      for (const { node } of computes) if (!lives(node)) await restart(node.nodeId)
      for (const { node, place: here } of computes) while (!(await isIdle(node, here))) await pause(50)
      for (const { node, place: here } of [...computes, { ...requester, place: requesterPlace }]) {
        const ended = await node.end()
        expect(ended.code, ended.stderr).toBe(0)
        here.clean(ended)
      }
    },
    [Symbol.asyncDispose]: async () => {
      const all = [...computes.map(({ node }) => node), requester.node].filter(lives)
      // What is killed has nothing to wait for, and what waits for it is not what is tested.
      await Promise.all(all.map((node) => node.end('SIGKILL')))
      for (const { place: here } of [...computes, { place: requesterPlace }]) here[Symbol.dispose]()
    },
  }
}

const lives = ({ started: { child } }: RunningNode): boolean => child.exitCode === null && child.signalCode === null

/** Whether a compute node has nothing of any job: no execution that runs or is kept, no folder. */
const isIdle = async ({ api }: RunningNode, { home }: Place): Promise<boolean> => {
  const { standing } = await apiClient({ url: api }).node()
  return standing.executions === 0 && standing.kept === 0 && ['workspace', 'wasm'].every((name) => namesIn(join(home, 'node', name)).length === 0)
}

const submit = async (client: ApiClient, text: string): Promise<string> => {
  const job = readJob(text, { file: 'job.yaml' })
  if (!job.ok) throw new Error(job.problems[0]?.message)
  return (await client.submit(printJob(job.spec, 'json'))).job.id
}

/** Resolves with the node of an execution that the job's node has in this state, or that it hears is in this phase. */
const nodeIn = async (client: ApiClient, id: string, wanted: string): Promise<string> => {
  for await (const event of client.events(id)) {
    if (event.type === 'progress' && event.progress.phase === wanted) return event.progress.node
    if (event.type === 'history' && event.item.kind === 'execution' && 'to' in event.item && event.item.to === wanted) return event.item.node ?? ''
  }
  throw new Error(`the job ended before an execution was ${wanted}`)
}

/** How it ended, with where each execution of shard 0 ran. */
const ending = async (client: ApiClient, id: string): Promise<{ readonly job: Job; readonly ran: readonly (readonly [node: string, outcome: string])[] }> => {
  const job = await client.finished(id)
  const { shards } = await client.shards(id)
  return { job, ran: (shards[0]?.executions ?? []).map(({ node, outcome }) => [node, outcome] as const) }
}

const noop = (fields: string): string =>
  `apiVersion: skrei/v1\nengine: { type: noop, ${fields} }\nresources: { cpu: 100m, memory: 16Mi, disk: 16Mi }\nretry: { attempts: 10, perNode: 5, backoff: 50ms }\n`

/** Holds what it is asked for until it is told to answer. */
let server: Server
let held: ServerResponse[] = []
let isHolding = true
let asked: () => void = () => {}
beforeAll(async () => {
  server = createServer((request, response) => {
    response.setHeader('content-length', 3)
    if (request.method === 'HEAD') response.end()
    else if (!isHolding) response.end('abc')
    else {
      held.push(response)
      asked()
    }
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
})
afterAll(() => {
  server.closeAllConnections()
  server.close()
})

describe('a compute node that is killed', { timeout }, () => {
  test.each(['stage', 'run', 'publish'] as const)('during %s: its shard goes elsewhere', async (phase) => {
    await using net = await network()
    const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}/a`
    isHolding = true
    held = []
    const arrived = new Promise<void>((resolve) => {
      asked = resolve
    })
    const jobs = {
      stage: `${noop('exit: 0')}inputs: [{ path: /inputs, source: { type: https, url: "${url}" } }]\n`,
      run: noop('duration: 3s'),
      publish: noop('exit: 0'),
    }
    for (let attempt = 1; ; attempt += 1) {
      const id = await submit(net.client(), jobs[phase])
      const victim = await nodeIn(net.client(), id, { stage: 'running', run: 'running', publish: 'accepted' }[phase])
      if (phase === 'stage') await arrived
      await net.kill(victim)
      isHolding = false
      for (const response of held.splice(0)) response.end('abc')
      const { job, ran } = await ending(net.client(), id)
      expect(job.state).toBe('completed')
      expect(ran.filter(([, outcome]) => outcome === 'completed')).toHaveLength(1)
      // The signal may come after the last word of a publication: then there was nothing left to do.
      if (phase === 'publish' && ran.length === 1 && attempt < 20) {
        await net.restart(victim)
        continue
      }
      expect(ran[0]).toEqual([victim, 'lost'])
      expect(ran.at(-1)?.[0]).not.toBe(victim)
      break
    }
    await net.endsClean()
  })
})

describe('a requester that is killed', { timeout }, () => {
  test('and started again has its jobs: what ran on goes on, and is not run again', async () => {
    await using net = await network()
    const id = await submit(net.client(), noop('duration: 4s'))
    await nodeIn(net.client(), id, 'running')
    await net.restartRequester()
    const { job, ran } = await ending(net.client(), id)
    expect(job.state).toBe('completed')
    expect(ran.filter(([, outcome]) => outcome === 'completed')).toHaveLength(1)
    await net.endsClean()
  })

  test('together with the compute node: another one completes the job', async () => {
    await using net = await network()
    const id = await submit(net.client(), noop('duration: 2s'))
    const victim = await nodeIn(net.client(), id, 'running')
    await Promise.all([net.kill(victim), net.restartRequester()])
    const { job, ran } = await ending(net.client(), id)
    expect(job.state).toBe('completed')
    expect(ran.map(([node]) => node)).toContain(victim)
    expect(ran.filter(([, outcome]) => outcome === 'completed')).toEqual([[net.computes.find(({ node }) => node.nodeId !== victim)?.node.nodeId, 'completed']])
    await net.endsClean()
  })

  test('right after it accepted a job has that job, and a client that had no answer gets the same one by its key', async () => {
    await using net = await network()
    const job = readJob(noop('exit: 0'), { file: 'job.yaml' })
    if (!job.ok) throw new Error('the job of this test is wrong')
    const text = printJob(job.spec, 'json')
    const { job: first } = await net.client().submit(text, { key: 'one' })
    await net.restartRequester()
    const second = await net.client().submit(text, { key: 'one' })
    expect(second).toMatchObject({ created: false, job: { id: first.id } })
    expect((await net.client().finished(first.id)).state).toBe('completed')
  })
})

test('what runs in a node that is killed ends with it', { timeout }, async () => {
  await using net = await network()
  const job = readJob(probeJob(['spin'], 'resources: { cpu: 100m, memory: 16Mi, disk: 16Mi }\n'), { file: 'job.yaml' })
  if (!job.ok) throw new Error('the job of this test is wrong')
  const { cid } = await net.client().addBlob(new Uint8Array(readFileSync(join(import.meta.dirname, 'fixtures/probe.wasm'))))
  const spec = { ...job.spec, engine: { ...job.spec.engine, module: { type: 'ipfs', cid } } } as JobSpec
  const { job: accepted } = await net.client().submit(printJob(spec, 'json'))
  const victim = await nodeIn(net.client(), accepted.id, 'running')
  const home = net.computes.find(({ node }) => node.nodeId === victim)?.place.home ?? ''
  expect(processesWith(home)).not.toEqual([])
  await net.kill(victim)
  while (processesWith(home).length > 0) await pause(50)
})
