import { spawnSync } from 'node:child_process'
import { symlinkSync } from 'node:fs'
import { createServer, type Server } from 'node:http'
import type { AddressInfo } from 'node:net'
import { join } from 'node:path'
import { pipeline, Readable } from 'node:stream'
import { localSource } from '@skrei/storage/local'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { startEmbeddedNode } from '../src/embedded-node.ts'
import { embeddedOffer } from '../src/embedded-offer.ts'
import { openHome } from '../src/home.ts'
import { openIdentity } from '../src/identity.ts'
import { type JsonResult, namesIn, type Place, place, probeJob } from './command-line.ts'

// Everything that people get wrong ends with the right exit code, a code, a place where there is one, and what to do; soon, and without a trace.

function* blocks(): Generator<Buffer> {
  for (const block = Buffer.alloc(1 << 16); ; ) yield block
}

let server: Server
let url: string
beforeAll(async () => {
  server = createServer((request, response) => {
    // A body in answer to HEAD is dropped, without end.
    if (request.method === 'HEAD') response.end()
    else if (request.url === '/data.csv') response.end('a,b\n1,2\n')
    else if (request.url === '/silent.csv') response.socket?.on('error', () => undefined)
    else if (request.url === '/endless.csv') {
      pipeline(Readable.from(blocks()), response, () => undefined)
    } else response.writeHead(404).end()
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`
})
afterAll(() => {
  server.closeAllConnections()
  server.close()
})

interface Expected {
  readonly exit: number
  readonly code: string
  readonly message?: RegExp
  readonly remedy?: RegExp
  readonly at?: readonly [line: number, column: number, path: string]
  readonly state?: JsonResult['state']
}

interface Case {
  readonly job: string | (() => string)
  readonly args?: readonly string[]
  readonly prepare?: (place: Place) => void
  readonly expected: Expected
  readonly more?: (result: JsonResult) => void
}

const allow = ['--allow-private-addresses']
const head = 'apiVersion: skrei/v1\n'
const noop = `${head}engine: { type: noop }\n`
const https = (path: string, rest = ''): string =>
  probeJob(
    ['sizes', '/inputs', '/outputs/sizes'],
    `inputs:\n  - source: { type: https, url: "${url}${path}" }\n    path: /inputs\noutputs: [{ name: sizes, path: /outputs }]\n${rest}`,
  )

/** The job file is wrong: found before anything starts. */
const files: Readonly<Record<string, Case>> = {
  'malformed YAML': { job: `${head}engine: { type: noop\nname: x\n`, expected: { exit: 2, code: 'yaml-syntax', at: [3, 1, ''] } },
  'an unknown engine': {
    job: `${head}engine:\n  type: wasmm\n`,
    expected: { exit: 2, code: 'unknown-engine', message: /did you mean `wasm`/, at: [3, 9, 'engine.type'] },
  },
  'a bad quantity': {
    job: `${noop}resources: { memory: 12Q }\n`,
    expected: { exit: 2, code: 'bad-quantity', message: /512Mi/, at: [3, 22, 'resources.memory'] },
  },
  'a field that is not built': { job: `${noop}type: service\n`, expected: { exit: 2, code: 'not-built', at: [3, 1, 'type'] } },
  'a missing module': {
    job: `${head}engine:\n  type: wasm\n  module: { type: local, path: missing.wasm }\n`,
    expected: { exit: 2, code: 'source-not-found', message: /missing\.wasm/, remedy: /relative to the job file/, at: [4, 32, 'engine.module.path'] },
  },
  'a module that is a directory': {
    job: `${head}engine:\n  type: wasm\n  module: { type: local, path: . }\n`,
    expected: { exit: 2, code: 'source-invalid', message: /is a directory/, at: [4, 32, 'engine.module.path'] },
  },
  'an input path that climbs out of its directory': {
    job: `${noop}inputs:\n  - source: { type: local, path: ../data }\n    path: /inputs\n`,
    expected: { exit: 2, code: 'bad-path', message: /escapes its directory/, at: [4, 34, 'inputs[0].source.path'] },
  },
  'an input outside the directory of the job file': {
    job: `${noop}inputs:\n  - source: { type: local, path: /etc/hosts }\n    path: /inputs\n`,
    expected: { exit: 2, code: 'source-forbidden', remedy: /beside the job file/, at: [4, 34, 'inputs[0].source.path'] },
  },
  'an input that leads out of the directory by a link': {
    job: `${noop}inputs:\n  - source: { type: local, path: link }\n    path: /inputs\n`,
    prepare: ({ jobs }) => symlinkSync('/etc/hosts', join(jobs, 'link')),
    expected: { exit: 2, code: 'source-forbidden', at: [4, 34, 'inputs[0].source.path'] },
  },
  'an output directory that is not empty': { job: noop, args: ['--output', '.'], expected: { exit: 2, code: 'output-not-empty', remedy: /empty directory/ } },
  'an unknown option': { job: noop, args: ['--outptu', 'x'], expected: { exit: 2, code: 'usage' } },
}

/** No node could ever run it. */
const nodes: Readonly<Record<string, Case>> = {
  'more memory than the node has': {
    job: `${noop}resources: { memory: 900Ti }\n`,
    expected: { exit: 3, code: 'no-node', state: 'failed', message: /0 of 1 node could run this.* of memory in all, 900 TiB asked/ },
  },
  'a Docker engine': { job: `${head}engine: { type: docker, image: busybox }\n`, expected: { exit: 3, code: 'no-node', state: 'failed', message: /docker/ } },
  'several publishers': { job: `${noop}publisher: [{ type: ipfs }, { type: local }]\n`, expected: { exit: 2, code: 'not-built', at: [3, 1, 'publisher'] } },
  'verification that is not built': {
    job: `${noop}verification: { method: deterministic, replicas: 1 }\n`,
    expected: { exit: 2, code: 'not-built', at: [3, 17, 'verification.method'] },
  },
  'three replicas on one node': {
    job: `${noop}verification: { method: deterministic, replicas: 3 }\n`,
    expected: { exit: 3, code: 'not-enough-nodes', remedy: /replicas/, at: [3, 40, 'verification.replicas'] },
  },
  'labels that no node has': {
    job: `${noop}constraints: ["region in (eu, us)"]\n`,
    expected: { exit: 3, code: 'no-node', state: 'failed', message: /region in \(eu, us\)/ },
  },
}

/** The job runs and fails. */
const jobs: Readonly<Record<string, Case>> = {
  'a private address': {
    job: () => https('/data.csv'),
    expected: { exit: 1, code: 'source-forbidden', state: 'failed', message: /127\.0\.0\.1/, remedy: /--allow-private-addresses/ },
  },
  'a module that is no WASM': {
    job: `${head}engine: { type: wasm, module: { type: local, path: job.yaml } }\n`,
    expected: { exit: 1, code: 'module-invalid', state: 'failed' },
  },
  'a URL that answers 404': { job: () => https('/missing.csv'), args: allow, expected: { exit: 1, code: 'source-not-found', state: 'failed', message: /404/ } },
  'a URL that sends more than the limit': {
    job: () => https('/endless.csv', 'resources: { disk: 4Mi }\n'),
    args: allow,
    expected: { exit: 1, code: 'source-too-large', state: 'failed' },
  },
  'a URL that never answers, given up by its source': {
    job: () => https('/silent.csv', 'retry: { attempts: 1 }\n'),
    args: allow,
    expected: { exit: 1, code: 'source-timeout', state: 'failed', message: /silent\.csv/ },
  },
  'a URL that never answers, given up by the job': {
    job: () => https('/silent.csv', 'timeouts: { total: 3s }\n'),
    args: allow,
    expected: { exit: 1, code: 'deadline', state: 'failed' },
  },
  'an output larger than the disk limit': {
    job: probeJob(['flood', '/outputs/big', '100'], 'outputs: [{ name: big, path: /outputs }]\nresources: { disk: 1Mi }\n'),
    expected: { exit: 1, code: 'output-too-large', state: 'failed', remedy: /resources\.disk/ },
  },
  'a non-zero exit': {
    job: probeJob(['exit', '7']),
    expected: { exit: 1, code: 'exit-nonzero', state: 'failed', message: /7/, remedy: /stderr/ },
    more: ({ error }) => {
      expect(error?.shard).toBe(0)
      expect(error?.stderr).toBe('·[31mgiving up·[0m with 7')
    },
  },
  'a trap': { job: probeJob(['trap']), expected: { exit: 1, code: 'trap', state: 'failed', message: /unreachable/ } },
  'an infinite loop': {
    job: probeJob(['spin'], 'timeouts: { execution: 1s }\n'),
    expected: { exit: 1, code: 'timeout', state: 'failed', remedy: /timeouts\.execution/ },
  },
  'a pattern that matches nothing': {
    job: `${noop}inputs:\n  - source: { type: inline, text: x }\n    path: /inputs/x.txt\nsharding: { glob: "*.csv" }\n`,
    expected: { exit: 1, code: 'no-input', state: 'failed' },
  },
}

const check = async ({ job, args = [], prepare, expected, more }: Case): Promise<void> => {
  using here = place()
  prepare?.(here)
  const ended = await here.run(typeof job === 'string' ? job : job(), { args })
  const { result } = ended
  expect({ code: result.error?.code, exit: ended.code, state: result.state, type: result.type }, JSON.stringify(result)).toEqual({
    code: expected.code,
    exit: expected.exit,
    state: expected.state ?? null,
    type: 'result',
  })
  expect(result.jobId === null).toBe(expected.state === undefined)
  if (expected.message !== undefined) expect(result.error?.message).toMatch(expected.message)
  expect(result.error?.remedy).toMatch(expected.remedy ?? /./)
  if (expected.at !== undefined) {
    expect([result.error?.line, result.error?.column, result.error?.path]).toEqual(expected.at)
    expect(result.error?.file).toBe(join(here.jobs, 'job.yaml'))
  }
  expect(ended.stderr).toContain(expected.code)
  more?.(result)
  here.clean(ended)
}

describe.concurrent('a job file that is wrong', () => {
  test.for(Object.entries(files))('%s', ([, given]) => check(given))
})
describe.concurrent('a job that no node can run', () => {
  test.for(Object.entries(nodes))('%s', ([, given]) => check(given))
})
// A source that does not answer is given up after forty seconds.
describe.concurrent('a job that fails', { timeout: 240_000 }, () => {
  test.for(Object.entries(jobs))('%s', ([, given]) => check(given))
})

// What `run` refuses before anything runs, `validate` refuses with the same code and exit code. What only this node, or this place, is in the way of is a warning.
describe.concurrent('validate says what run would', () => {
  const validated = async (here: Place, { job, prepare }: Case) => {
    prepare?.(here)
    here.write('job.yaml', typeof job === 'string' ? job : job())
    const ended = await here.skrei('validate', 'job.yaml', '--json')
    const [file] = ended.stdout.split('\n').map((line) => JSON.parse(line || 'null') as Validated | null)
    here.clean(ended)
    expect(namesIn(here.home)).toEqual([])
    return { exit: ended.code, stderr: ended.stderr, problems: file?.problems ?? [], warnings: file?.warnings ?? [] }
  }
  interface Validated {
    readonly problems: readonly { readonly code: string; readonly line?: number; readonly column?: number; readonly path?: string }[]
    readonly warnings: Validated['problems']
  }
  const before = Object.entries({ ...files, ...nodes }).filter(([, { args, expected }]) => args === undefined && expected.state === undefined)
  const after = Object.entries(nodes).filter(([, { expected }]) => expected.state !== undefined)

  test.for(before)('%s', async ([, given]) => {
    using here = place()
    const { exit, problems, warnings } = await validated(here, given)
    const { code, at } = given.expected
    const [first] = [...problems, ...warnings]
    expect(first?.code).toBe(code)
    expect([first?.line, first?.column, first?.path]).toEqual(at)
    expect(exit).toBe(problems.length > 0 ? given.expected.exit : 0)
    // Where a local source is missing, that is this place's and not the file's fault.
    expect(problems.length > 0).toBe(!code.startsWith('source-'))
  })
  test.for(after)('%s', async ([, given]) => {
    using here = place()
    const { exit, stderr, problems, warnings } = await validated(here, given)
    expect({ exit, problems: problems.length, warnings: warnings.length }).toEqual({ exit: 0, problems: 0, warnings: 1 })
    expect(stderr).toMatch(/^warning job\.yaml:\d+:\d+: [a-z-]+: this node could not run it: /)
  })
  test('nothing against a job that would run, and fail', async () => {
    using here = place()
    const names = Object.values(jobs).map(({ job }, index) => {
      here.write(`${index}.yaml`, typeof job === 'string' ? job : job())
      return `${index}.yaml`
    })
    // One of them has this for a module.
    here.write('job.yaml', noop)
    expect(await here.skrei('validate', ...names)).toMatchObject({ code: 0, stderr: '' })
  })
})

test('what is offered without a node is what a node announces', async () => {
  using here = place()
  const home = openHome(here.home)
  const identity = openIdentity(home)
  const node = await startEmbeddedNode({
    home,
    runFolder: here.jobs,
    identity,
    local: localSource({ allow: [here.jobs], base: here.jobs }),
    allowPrivateAddresses: false,
    engine: 'noop',
    logger: { debug: () => {}, info: () => {}, warn: () => {}, error: () => {} },
  })
  try {
    const [announced] = node.scheduler.nodes()
    const { capacity, engines, ...offer } = await embeddedOffer(here.home, ['wasm', 'noop'])
    expect(announced).toMatchObject(offer)
    expect(announced?.engines.map(({ name }) => name)).toEqual(engines)
    // The disk has more or less free space a moment later.
    expect(announced?.capacity).toMatchObject({ cpu: capacity.cpu, memory: capacity.memory })
  } finally {
    await node[Symbol.asyncDispose]()
  }
})

test('every problem of a file is told at once, for people too', async () => {
  using here = place()
  here.write('job.yaml', `${head}engine: { type: noop }\nresources: { cpu: fast }\nextra: 1\n`)
  const ended = await here.skrei('run', 'job.yaml')
  expect(ended.code).toBe(2)
  expect(ended.stdout).toBe('')
  expect(ended.stderr).toMatch(/^error job\.yaml:3:19: bad-quantity: .*\n {2}→ .*\nerror job\.yaml:4:1: unknown-key: .*\n {2}→ .*\n$/)
})

test('usage errors say so, and are exit code 2', async () => {
  using here = place()
  for (const args of [['bogus'], ['run'], ['run', 'a', 'b'], ['run', 'missing.yaml'], ['run', '.'], ['spec', 'bogus']]) {
    const ended = await here.skrei(...args)
    expect(ended.code, args.join(' ')).toBe(2)
    expect(ended.stderr).toMatch(/^error /)
    expect(ended.stderr).not.toMatch(/\n\s+at /)
  }
})

test.skipIf(process.platform !== 'linux')('output that cannot be written is told once, with a code', () => {
  const { status, stderr } = spawnSync('/bin/sh', ['-c', `"$0" --conditions=@skrei/source apps/node/src/main.ts spec schema > /dev/full`, process.execPath], {
    encoding: 'utf8',
  })
  expect({ status, told: stderr.split('output-unwritable').length - 1 }).toEqual({ status: 1, told: 1 })
})
