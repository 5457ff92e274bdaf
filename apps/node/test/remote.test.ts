import { existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { type Ended, type JsonEvent, type JsonResult, type Place, place, probeJob } from './command-line.ts'
import { type RunningNode, startNode } from './running-node.ts'

// Every command that asks a node, against a node that is a process of its own.

const noop = (fields: string, rest = ''): string =>
  `apiVersion: skrei/v1\nname: greet\nengine: { type: noop, ${fields} }\nresources: { cpu: 10m, memory: 1Mi, disk: 1Mi }\n${rest}`
const eventsOf = ({ stdout }: Ended): readonly JsonEvent[] =>
  stdout
    .trimEnd()
    .split('\n')
    .map((line) => JSON.parse(line) as JsonEvent)
const resultOf = (ended: Ended): JsonResult => eventsOf(ended).at(-1) as unknown as JsonResult

let serving: Place
let node: RunningNode
beforeAll(async () => {
  serving = place()
  node = await startNode(serving)
}, 120_000)
afterAll(async () => {
  const ended = await node.end()
  expect(ended.code).toBe(0)
  serving.clean(ended)
  serving[Symbol.dispose]()
}, 120_000)

/** A job that was accepted by the node of these tests. */
const submitted = async (here: Place, job: string, ...args: readonly string[]): Promise<string> => {
  const ended = await here.skrei('job', 'submit', here.write(`${crypto.randomUUID()}.yaml`, job), '--node', node.api, '--json', ...args)
  expect(ended.code, ended.stderr).toBe(0)
  return String(eventsOf(ended).find(({ type }) => type === 'submitted')?.['jobId'])
}

// Each command is a process of its own: on a busy machine they take their time.
const timeout = 240_000

describe.concurrent('jobs of a node', { timeout }, () => {
  test('without a flag the node that runs on the home is asked; a job goes from its submission to its result', async () => {
    serving.write('greet.yaml', noop('stdout: "hello\\n", files: { /outputs/a: abc }', 'outputs: [{ name: out, path: /outputs }]\nsharding: { count: 2 }\n'))
    const submit = await serving.skrei('job', 'submit', 'greet.yaml')
    expect(submit.code).toBe(0)
    const [, id = ''] = /^job (\S+)$/m.exec(submit.stdout) ?? []
    expect(submit.stdout).toContain(`skrei job describe ${id}`)
    const wait = await serving.skrei('job', 'wait', id)
    expect(wait.code).toBe(0)
    expect(wait.stdout).toMatch(/^completed {2}greet, 2 shards\n/)
    expect(wait.stdout).toContain(`skrei job results ${id} --output DIR\n`)
    const logs = await serving.skrei('job', 'logs', id, '--shard', '1')
    expect(logs).toMatchObject({ code: 0, stdout: 'hello\n', stderr: '' })
    const unsaid = await serving.skrei('job', 'logs', id)
    expect(unsaid).toMatchObject({ code: 0, stdout: 'hello\n', stderr: '— shard 0 of 2: --shard INDEX shows another —\n' })
    const results = await serving.skrei('job', 'results', id, '--output', 'fetched')
    expect(results.code, results.stderr).toBe(0)
    expect(readFileSync(join(serving.jobs, 'fetched/shards/1/outputs/out/a'), 'utf8')).toBe('abc')
    expect(JSON.parse(readFileSync(join(serving.jobs, 'fetched/result.json'), 'utf8'))).toMatchObject({ jobId: id, state: 'completed' })
    const again = await serving.skrei('job', 'results', id, '--output', 'fetched')
    expect(again.code).toBe(2)
    expect(again.stderr).toContain('output-not-empty')
  })

  test('run --node tells the same events as an embedded run, and uploads the files that the job names', async () => {
    using here = place()
    mkdirSync(join(here.jobs, 'data'))
    writeFileSync(join(here.jobs, 'data/a.txt'), 'abc')
    writeFileSync(join(here.jobs, 'data/b.txt'), 'defgh')
    const job = probeJob(
      ['sizes', '/inputs', '/outputs/sizes'],
      'inputs:\n  - { path: /inputs, source: { type: local, path: data } }\n  - { path: /inputs/c.txt, source: { type: local, path: data/b.txt } }\noutputs: [{ name: sizes, path: /outputs }]\n',
    )
    const remote = await here.run(job, { args: ['--node', node.api, '--output', 'remote'] })
    expect(remote.code, remote.stderr).toBe(0)
    expect(remote.result).toMatchObject({ state: 'completed', error: null, results: { path: join(here.jobs, 'remote') } })
    expect(remote.events[0]).toMatchObject({ type: 'submitted', node: node.nodeId })
    const embedded = await here.run(job, { args: ['--output', 'embedded'] })
    const shapes = (events: readonly JsonEvent[]): readonly string[] => [
      ...new Set(events.map(({ type, ...fields }) => `${type} ${type === 'progress' ? '' : Object.keys(fields).sort().join(' ')}`)),
    ]
    expect(shapes(remote.events).toSorted()).toEqual(shapes(embedded.events).toSorted())
    const states = ({ events }: { readonly events: readonly JsonEvent[] }) => events.filter(({ type }) => type === 'shard').map(({ state }) => state)
    expect(states(remote)).toEqual(['waiting', 'staging', 'running', 'publishing', 'completed'])
    expect(states(embedded)).toEqual(states(remote))
    for (const run of ['remote', 'embedded'])
      expect(
        readFileSync(join(here.jobs, run, 'shards/0/outputs/sizes/sizes'), 'utf8')
          .trim()
          .split('\n')
          .sort(),
      ).toEqual(['a.txt 3', 'b.txt 5', 'c.txt 5'])
    // The spec is another one: it names what was uploaded.
    expect(remote.events[0]?.['specCid']).not.toBe(embedded.events[0]?.['specCid'])
    here.clean(remote)
  })

  test('a file that is given to a node keeps its name in a directory of the sandbox', async () => {
    using here = place()
    here.write('b', 'defgh')
    const rest = 'inputs: [{ path: /inputs, source: { type: local, path: b } }]\noutputs: [{ name: sizes, path: /outputs }]\n'
    const ended = await here.run(probeJob(['sizes', '/inputs', '/outputs/sizes'], rest), { args: ['--node', node.api, '--output', 'remote'] })
    expect(ended.code, ended.stderr).toBe(0)
    expect(readFileSync(join(here.jobs, 'remote/shards/0/outputs/sizes/sizes'), 'utf8')).toBe('b 5\n')
  })

  test('a pinned file that is not what it should be is refused by the node that stages it', async () => {
    using here = place()
    here.write('a.txt', 'abc')
    const source = `inputs: [{ path: /inputs, source: { type: local, path: a.txt, sha256: "${'0'.repeat(64)}" } }]\nretry: { attempts: 1 }\n`
    const ended = await here.run(noop('exit: 0', source), { args: ['--node', node.api] })
    expect(ended.code).toBe(1)
    expect(ended.result.error?.code).toBe('source-mismatch')
  })

  test('a shard that is tried again says why', async () => {
    using here = place()
    for (const args of [['--node', node.api], []]) {
      const ended = await here.run(noop('exit: 7', 'retry: { attempts: 2, backoff: 10ms, on: [exit-nonzero] }\n'), { args })
      const retrying = ended.events.filter(({ type, state }) => type === 'shard' && state === 'retrying')
      expect(retrying, ended.stderr).toMatchObject([{ shard: 0, failure: { code: 'exit-nonzero', detail: 'exit code 7' } }])
      expect(ended.stderr).toContain('\nshard 0: retrying, exit-nonzero\n')
    }
  })

  test('a failed job says which shard, why, and the end of its stderr; its timeline says it in place', async () => {
    using here = place()
    const ended = await here.run(noop('exit: 7, stderr: "oh no\\n"', 'sharding: { count: 2 }\nretry: { attempts: 1 }\n'), { args: ['--node', node.api] })
    expect(ended.code).toBe(1)
    expect(ended.result).toMatchObject({ state: 'failed', error: { code: 'exit-nonzero', stderr: 'oh no' } })
    const id = ended.result.jobId ?? ''
    const describe = await here.skrei('job', 'describe', id, '--node', node.api)
    expect(describe.code).toBe(0)
    expect(describe.stdout).toMatch(/^failed {2}greet, 0 of 2 shards completed, \d failed, \d/)
    const shard = ended.result.error?.shard
    expect(describe.stdout).toMatch(
      new RegExp(`\n {2}shard ${shard} {2,}failed .*…${node.nodeId.slice(-8)} {2}failed {2}exit-nonzero {2}The program ended.*exit code 7\n`),
    )
    const wait = await here.skrei('job', 'wait', id, '--node', node.api, '--json')
    expect(wait.code).toBe(1)
    expect(resultOf(wait)).toMatchObject({ jobId: id, state: 'failed', error: { code: 'exit-nonzero' } })
    const command = `skrei job logs ${id} --shard ${shard} --stderr --node ${node.api}`
    expect(resultOf(wait).error?.remedy).toBe(`Read the shard's stderr: ${command}`)
    expect(await here.skrei(...command.split(' ').slice(1))).toMatchObject({ code: 0, stderr: 'oh no\n' })
    const results = await here.skrei('job', 'results', id, '--node', node.api, '--output', 'failed')
    expect(results.code).toBe(0)
    expect(readFileSync(join(here.jobs, 'failed/shards', String(shard), 'stderr'), 'utf8')).toBe('oh no\n')
  })

  test('what no node can run ends with 3, what is wrong in the file with 2, at its place', async () => {
    using here = place()
    const large = await here.run('apiVersion: skrei/v1\nengine: { type: noop }\nresources: { memory: 900Ti }\n', { args: ['--node', node.api] })
    expect([large.code, large.result.error?.code]).toEqual([3, 'no-node'])
    const replicas = 'apiVersion: skrei/v1\nengine: { type: noop }\nverification: { method: deterministic, replicas: 3 }\n'
    const few = await here.run(replicas, { args: ['--node', node.api] })
    expect([few.code, few.result.jobId]).toEqual([3, null])
    expect(few.result.error).toMatchObject({ code: 'not-enough-nodes', file: join(here.jobs, 'job.yaml'), line: 3, path: 'verification.replicas' })
    const wrong = await here.run('apiVersion: skrei/v1\nengine: { type: wasmm }\n', { args: ['--node', node.api] })
    expect([wrong.code, wrong.result.error?.code]).toEqual([2, 'unknown-engine'])
    const missing = await here.run(probeJob(['hello']).replace('probe.wasm', 'nowhere.wasm'), { args: ['--node', node.api] })
    expect([missing.code, missing.result.error?.code]).toEqual([2, 'source-not-found'])
  })

  test('run --node --plan asks the network, uploads included', async () => {
    using here = place()
    const ended = await here.skrei('run', here.write('job.yaml', probeJob(['hello'], 'resources: { cpu: 10m }\n')), '--plan', '--node', node.api)
    expect(ended).toMatchObject({ code: 0, stderr: '' })
    expect(ended.stdout).toMatch(new RegExp(`^would run {2}job, 1 shard, no input files\n {2}${node.nodeId}`))
  })

  test('the first signal stops the job, and its end is told', async () => {
    using here = place()
    const run = here.start('run', here.write('job.yaml', noop('duration: 10m')), '--node', node.api, '--json')
    await run.line((line) => line.includes('"state":"running"') && line.includes('"type":"shard"'))
    run.child.kill('SIGINT')
    const ended = await run.ended
    expect(ended.code).toBe(130)
    expect(resultOf(ended)).toMatchObject({ state: 'cancelled', error: { code: 'cancelled' } })
  })

  test('the second signal leaves the job to its node', async () => {
    using here = place()
    using other = place()
    const slow = await startNode(other)
    try {
      const run = here.start('run', here.write('job.yaml', noop('duration: 10m')), '--node', slow.api, '--json')
      await run.line((line) => line.includes('"state":"staging"') && line.includes('"type":"shard"'))
      // It cannot answer, so the job cannot end.
      slow.started.child.kill('SIGSTOP')
      run.child.kill('SIGINT')
      run.child.kill('SIGTERM')
      const ended = await run.ended
      expect(ended.code).toBe(130)
      expect(resultOf(ended)).toMatchObject({ jobId: expect.any(String), state: null, error: { code: 'cancelled' } })
      expect(ended.stderr).toContain('is left to its node')
    } finally {
      slow.started.child.kill('SIGCONT')
      await slow.end('SIGKILL')
    }
  })

  test('job stop cancels a job; wait ends as it does; one that is over stays as it is', async () => {
    using here = place()
    const id = await submitted(here, noop('duration: 10m'))
    const waiting = here.skrei('job', 'wait', id, '--node', node.api)
    const stop = await here.skrei('job', 'stop', id, '--node', node.api)
    expect(stop.code).toBe(0)
    expect(stop.stdout).toContain(`skrei job wait ${id} --node ${node.api}\n`)
    expect((await waiting).code).toBe(130)
    const again = await here.skrei('job', 'stop', id, '--node', node.api)
    expect(again).toMatchObject({ code: 0, stdout: `job ${id} is over: cancelled\n` })
  })

  test('submit --wait ends as the job does; the same key is the same job, another spec with it is refused', async () => {
    using here = place()
    const key = crypto.randomUUID()
    const file = here.write('job.yaml', noop('exit: 0'))
    const args = ['job', 'submit', file, '--node', node.api, '--key', key, '--json'] as const
    const first = await here.skrei(...args, '--wait')
    expect(first.code).toBe(0)
    expect(eventsOf(first)).toMatchObject([
      { type: 'submitted', created: true },
      { type: 'result', state: 'completed' },
    ])
    const second = await here.skrei(...args)
    expect(eventsOf(second)).toMatchObject([{ type: 'submitted', created: false, jobId: eventsOf(first)[0]?.['jobId'] }])
    here.write('job.yaml', noop('exit: 1'))
    const other = await here.skrei(...args)
    expect(other.code).toBe(2)
    expect(resultOf(other).error?.code).toBe('key-reused')
    for (const wrong of ['', 'two words']) {
      const refused = await here.skrei('job', 'submit', file, '--node', node.api, '--key', wrong, '--json')
      expect(refused.code).toBe(2)
      expect(resultOf(refused).error).toMatchObject({ code: 'usage', message: expect.stringMatching(/^--key/) })
    }
  })

  test('job list shows the newest first, by state, so many of them', async () => {
    using here = place()
    const failed = await submitted(here, noop('exit: 1', 'retry: { attempts: 1 }\n'))
    await here.skrei('job', 'wait', failed, '--node', node.api)
    const listed = await here.skrei('job', 'list', '--node', node.api, '--state', 'failed', '--limit', '1')
    expect(listed.code).toBe(0)
    const [heads = '', row = ''] = listed.stdout.split('\n')
    expect(heads).toMatch(/^job +name +state +shards +submitted$/)
    expect(row).toMatch(/^[0-9a-f-]{36} {2}greet {2}failed {2}exit-nonzero {2}0\/[12], 1 failed {2}\d+[sm] ago$/)
    const json = await here.skrei('job', 'list', '--node', node.api, '--json')
    expect(eventsOf(json)).toMatchObject([{ type: 'jobs', jobs: expect.arrayContaining([expect.objectContaining({ id: failed, state: 'failed' })]) }])
    const wrong = await here.skrei('job', 'list', '--node', node.api, '--limit', '0')
    expect(wrong.code).toBe(2)
  })

  test('whoever reads logs may go away, as `head` does, also while they are followed', async () => {
    using here = place()
    // More than a pipe holds, and more to come.
    const id = await submitted(
      here,
      noop(`stdout: "${'0123456789'.repeat(100)}${'\\n0123456789'.repeat(20_000)}", duration: 1h`, 'publisher: { type: none }\n'),
    )
    const reading = here.start('job', 'logs', id, '--follow', '--node', node.api)
    reading.child.stdout?.once('data', () => reading.child.stdout?.destroy())
    expect(await reading.ended).toMatchObject({ code: 0, stderr: '' })
    expect((await here.skrei('job', 'stop', id, '--node', node.api)).code).toBe(0)
    expect((await here.skrei('job', 'wait', id, '--node', node.api)).code).toBe(130)
  })

  test('whoever stops following the logs of a job is told that it goes on, and it does', async () => {
    using here = place()
    const id = await submitted(here, noop('duration: 10m, stdout: "begun\\n"'))
    const following = here.start('job', 'logs', id, '--follow', '--node', node.api)
    await following.line((line) => line === 'begun')
    following.child.kill('SIGINT')
    const ended = await following.ended
    expect(ended).toMatchObject({ code: 130, stdout: 'begun\n' })
    expect(ended.stderr).toContain('error cancelled: interrupted; the job goes on')
    expect(ended.stderr).toContain(`→ Go on with it: skrei job logs ${id} --follow --node ${node.api}\n`)
    const stop = await here.skrei('job', 'stop', id, '--node', node.api)
    expect(stop.stdout).toContain(`job ${id} is being stopped\n`)
  })

  test('logs are followed while the program runs, and come byte for byte; with --json each piece is an event', async () => {
    using here = place()
    const id = await submitted(here, noop('duration: 1s, stdout: "out\\u001b[31m\\n", stderr: "err\\n"'))
    const followed = await here.skrei('job', 'logs', id, '--follow', '--node', node.api)
    expect(followed).toMatchObject({ code: 0, stdout: 'out\u001b[31m\n', stderr: 'err\n' })
    const one = await here.skrei('job', 'logs', id, '--stderr', '--json', '--node', node.api)
    expect(eventsOf(one)).toMatchObject([{ type: 'log', shard: 0, stream: 'stderr', node: node.nodeId, offset: 0, text: 'err\n' }])
  })

  test('an id may be shortened as long as it is the only one', async () => {
    using here = place()
    const id = await submitted(here, noop('exit: 0'))
    const short = await here.skrei('job', 'wait', id.slice(0, -4), '--node', node.api, '--json')
    expect(resultOf(short).jobId).toBe(id)
    await submitted(here, noop('exit: 0'))
    const both = await here.skrei('job', 'wait', id.slice(0, 4), '--node', node.api, '--json')
    expect([both.code, resultOf(both).error?.code, resultOf(both).error?.message]).toEqual([
      2,
      'id-ambiguous',
      expect.stringMatching(/: [0-9a-f-]{36}, [0-9a-f-]{36}/),
    ])
    const none = await here.skrei('job', 'describe', 'ffff-nothing', '--node', node.api, '--json')
    expect([none.code, resultOf(none).error?.code]).toEqual([2, 'job-not-found'])
    const empty = await here.skrei('job', 'describe', '', '--node', node.api, '--json')
    expect([empty.code, resultOf(empty).error?.code]).toEqual([2, 'usage'])
  })

  test('node list, describe and peers say what a node has, what of it is reserved, and whom it sees', async () => {
    using here = place()
    using other = place()
    const second = await startNode(other, '--peer', node.address, '--compute-only', '--label', 'rack=b7')
    try {
      const knows = async (): Promise<readonly JsonEvent[]> => eventsOf(await here.skrei('node', 'list', '--node', node.api, '--json'))
      const isKnown = ([event]: readonly JsonEvent[]): boolean =>
        ((event?.['nodes'] ?? []) as readonly { node: string }[]).some((known) => known.node === second.nodeId)
      while (!isKnown(await knows()));
      const list = await here.skrei('node', 'list', '--node', node.api)
      expect(list.stdout).toMatch(new RegExp(`^${second.nodeId} {2}wasm noop {2}0/\\d+ {2}.*ago$`, 'm'))
      const own = await here.skrei('node', 'describe', '--node', second.api)
      expect(own.stdout).toMatch(/^ {2}roles {2,}compute$/m)
      expect(own.stdout).toMatch(/^ {2}CPU +0 +\d+ +\d+$/m)
      const seen = await here.skrei('node', 'describe', second.nodeId.slice(-8), '--node', node.api)
      expect(seen.stdout).toMatch(/^ {2}labels {2,}.*rack=b7/m)
      const peers = await here.skrei('node', 'peers', '--node', second.api)
      expect(peers.stdout).toMatch(new RegExp(`^${node.nodeId} {2}outbound, `, 'm'))
      const unknown = await here.skrei('node', 'describe', 'nobody', '--node', node.api, '--json')
      expect([unknown.code, resultOf(unknown).error?.code]).toEqual([2, 'node-unknown'])
      const refused = await here.skrei('job', 'submit', here.write('job.yaml', noop('exit: 0')), '--node', second.api, '--json')
      expect([refused.code, resultOf(refused).error?.code]).toEqual([2, 'not-requester'])
    } finally {
      await second.end()
    }
  })
})

describe.concurrent('a node that is not there, or cannot', { timeout }, () => {
  test('no node is named and none runs on the home', async () => {
    using here = place()
    const ended = await here.skrei('job', 'list', '--json')
    expect([ended.code, resultOf(ended).error?.code]).toEqual([2, 'no-node-named'])
    expect(resultOf(ended).error?.remedy).toContain('skrei node start')
    expect(existsSync(here.home)).toBe(false)
  })

  test.each([
    ['ftp://127.0.0.1/', 2, 'node-url-invalid'],
    ['localhost', 2, 'node-url-invalid'],
    ['', 2, 'node-url-invalid'],
    ['http://127.0.0.1:9/api/v1', 2, 'node-url-invalid'],
    ['http://127.0.0.1:9', 1, 'unreachable'],
  ])('--node %s', async (url, exit, code) => {
    using here = place()
    const ended = await here.skrei('node', 'list', '--node', url, '--json')
    expect([ended.code, resultOf(ended).error?.code]).toEqual([exit, code])
  })

  test('with IPFS off files of this machine cannot be given to the node, and a job without them runs', async () => {
    using here = place()
    using other = place()
    const off = await startNode(other, '--no-ipfs')
    try {
      const ended = await here.run(probeJob(['hello']), { args: ['--node', off.api] })
      expect([ended.code, ended.result.error?.code]).toEqual([2, 'blobs-off'])
      const none = await here.run(noop('exit: 0', 'publisher: { type: none }\n'), { args: ['--node', off.api, '--output', 'none'] })
      expect(none.code, none.stderr).toBe(0)
      expect(JSON.parse(readFileSync(join(here.jobs, 'none/result.json'), 'utf8'))).toMatchObject({
        jobId: none.result.jobId,
        state: 'completed',
        shards: [{ index: 0, state: 'completed' }],
      })
    } finally {
      await off.end()
    }
  })

  test('a run goes on over a node that is killed and started again', async () => {
    using here = place()
    using other = place()
    const first = await startNode(other)
    const port = new URL(first.api).port
    const run = here.start(
      'run',
      here.write('job.yaml', noop('duration: 3s', 'retry: { attempts: 5, perNode: 5, backoff: 100ms }\n')),
      '--node',
      first.api,
      '--json',
    )
    await run.line((line) => line.includes('"type":"shard"') && line.includes('"state":"staging"'))
    await first.end('SIGKILL')
    const second = await startNode(other, '--api-port', port)
    try {
      const ended = await run.ended
      expect(ended.code, ended.stderr).toBe(0)
      expect(ended.stderr.match(/^the node at .* answer.*$/gm)).toEqual([
        `the node at ${first.api} does not answer: it is tried again, for some minutes`,
        `the node at ${first.api} answers again`,
      ])
      const events = eventsOf(ended)
      expect(events.filter(({ type }) => type === 'result')).toMatchObject([{ state: 'completed' }])
      // Each change of the job is told once, over both connections.
      const jobStates = events.filter(({ type }) => type === 'job').map(({ state }) => state)
      expect(new Set(jobStates).size).toBe(jobStates.length)
    } finally {
      await second.end()
    }
  })
})
