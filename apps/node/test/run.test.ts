import { existsSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { join } from 'node:path'
import { describe, expect, test } from 'vitest'
import { place, probeJob } from './command-line.ts'

const read = (...path: readonly string[]): string => readFileSync(join(...path), 'utf8')
const sizes = ['sizes', '/inputs', '/outputs/sizes']
const outputs = 'outputs: [{ name: sizes, path: /outputs }]\n'

describe.concurrent('skrei run', () => {
  test('arguments, environment and standard input reach the program; what it prints is in the result', async () => {
    using here = place()
    const job = probeJob(['show', 'two words', ''], '  stdin: "from stdin\\n"\nenv: { LOCALE: C, EMPTY: "" }\n')
    const ended = await here.run(job, { args: ['--output', 'result'] })
    expect(ended.result).toMatchObject({ state: 'completed', error: null, results: { path: join(here.jobs, 'result') } })
    expect(ended.code).toBe(0)
    const lines = read(here.jobs, 'result/shards/0/stdout').split('\n')
    expect(lines).toContain('argument two words')
    expect(lines).toContain('argument ')
    expect(lines).toContain('variable LOCALE=C')
    expect(lines).toContain('variable EMPTY=')
    expect(lines).toContain('from stdin')
    expect(JSON.parse(read(here.jobs, 'result/result.json'))).toMatchObject({ state: 'completed', shards: [{ index: 0, exit: 0 }] })
    here.clean(ended)
  })

  test('inputs come from inline, local and https sources; a pattern makes a shard of each file', async () => {
    using here = place()
    const server = createServer((request, response) => response.end('x'.repeat(Number(request.url?.match(/\d+/)?.[0]))))
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
    try {
      const address = `http://127.0.0.1:${(server.address() as AddressInfo).port}`
      const urls = JSON.stringify([10, 20, 30].map((size) => `${address}/${size}.csv`))
      const job = `inputs:\n  - { path: /inputs, source: { type: https, urls: ${urls} } }\n  - { path: /inputs/note.txt, source: { type: inline, text: hello } }\nsharding: { input: /inputs, glob: "*.csv" }\n${outputs}`
      const ended = await here.run(probeJob(sizes, job), { args: ['--output', 'result', '--allow-private-addresses'] })
      expect(ended.result).toMatchObject({ state: 'completed', error: null })
      const found = ['0', '1', '2'].map((shard) => read(here.jobs, 'result/shards', shard, 'outputs/sizes/sizes').trim().split('\n').sort())
      expect(found.sort()).toEqual([
        ['10.csv 10', 'note.txt 5'],
        ['20.csv 20', 'note.txt 5'],
        ['30.csv 30', 'note.txt 5'],
      ])
      expect(ended.events.find(({ type }) => type === 'planned')).toMatchObject({ shards: 3 })
      here.clean(ended)
    } finally {
      server.closeAllConnections()
      server.close()
    }
  })

  test('a local directory is an input, relative to the job file, or to the current directory for a job on standard input', async () => {
    using here = place()
    mkdirSync(join(here.jobs, 'data'))
    writeFileSync(join(here.jobs, 'data/a.txt'), 'abc')
    const job = probeJob(sizes, `inputs: [{ path: /inputs, source: { type: local, path: data } }]\n${outputs}`)
    const ended = await here.run('', { input: job })
    expect(ended.result).toMatchObject({ state: 'completed', error: null })
    expect(read(ended.result.results.path ?? '', 'shards/0/outputs/sizes/sizes')).toBe('a.txt 3\n')
    expect(ended.result.results.path).toBe(join(here.home, 'results', ended.result.jobId ?? ''))
    here.clean(ended)
  })

  test('a result published to IPFS comes back by its CID, the same', async () => {
    using here = place()
    const ended = await here.run(probeJob(['show']))
    const { cid, path } = ended.result.results
    const got = await here.skrei('get', cid ?? '', 'again')
    expect(got.stderr).toBe('')
    expect(got.code).toBe(0)
    expect(read(here.jobs, 'again/result.json')).toBe(read(path ?? '', 'result.json'))
    expect(read(here.jobs, 'again/shards/0/stdout')).toBe(read(path ?? '', 'shards/0/stdout'))
    const occupied = await here.skrei('get', cid ?? '', 'again')
    expect(occupied.code).toBe(2)
    expect(occupied.stderr).toContain('output-not-empty')
    const unknown = await here.skrei('get', 'bafkreigh2akiscaildcqabsyg3dfr6chu3fgpregiymsck7e7aqa4s52zy', 'other')
    expect(unknown.code).toBe(1)
    expect(unknown.stderr).toContain('result-not-found')
    expect(existsSync(join(here.jobs, 'other'))).toBe(false)
    expect((await here.skrei('get', 'nonsense', 'other')).stderr).toContain('cid-invalid')
    here.clean(got)
  })

  test('the publisher local keeps the result in SKREI_HOME and gives no CID', async () => {
    using here = place()
    const ended = await here.run(probeJob(['show'], 'publisher: { type: local }\n'))
    expect(ended.result).toMatchObject({ state: 'completed', results: { cid: null } })
    expect(read(ended.result.results.path ?? '', 'shards/0/stdout')).toContain('argument show')
    expect(read(here.home, 'published', ended.result.jobId ?? '', 'shards/0/stdout')).toContain('argument show')
    here.clean(ended)
  })

  test('with the publisher none there is result.json', async () => {
    using here = place()
    const ended = await here.run(probeJob(['show'], 'publisher: { type: none }\n'))
    expect(ended.result).toMatchObject({ state: 'completed', results: { cid: null } })
    expect(JSON.parse(read(ended.result.results.path ?? '', 'result.json'))).toMatchObject({ state: 'completed', shards: [{ exit: 0 }] })
    here.clean(ended)
  })

  test('with the publisher none a program that fails is told with the end of its stderr', async () => {
    using here = place()
    const job = (stderr: string) =>
      `apiVersion: skrei/v1\nengine: { type: noop, exit: 3${stderr} }\npublisher: { type: none }\nretry: { attempts: 1 }\nsharding: { count: 3 }\n`
    const long = `${'x'.repeat(70)}\\n`.repeat(100)
    const ended = await here.run(job(`, stderr: "${long}the end"`))
    expect([ended.code, ended.result.error?.code]).toEqual([1, 'exit-nonzero'])
    expect(ended.result.error?.stderr).toMatch(/^[x\n]{1800,2041}the end$/)
    expect(ended.result.error?.remedy).toContain('the end of its stderr above')
    expect(ended.stderr).toMatch(/│ the end\n/)
    const silent = await here.run(job(''))
    expect([silent.result.error?.stderr, silent.result.error?.remedy]).toEqual([undefined, expect.stringContaining('it is gone')])
    here.clean(silent)
  })

  test('a number of shards runs so many times; events tell each of them to its end', async () => {
    using here = place()
    const ended = await here.run(
      'apiVersion: skrei/v1\nname: many\nengine: { type: noop, stdout: hi }\nsharding: { count: 20 }\nresources: { cpu: 100m, memory: 16Mi, disk: 1Mi }\n',
    )
    expect(ended.result).toMatchObject({ state: 'completed', error: null })
    expect(readdirSync(join(ended.result.results.path ?? '', 'shards'))).toHaveLength(20)
    expect(ended.events[0]).toMatchObject({ type: 'submitted', name: 'many', jobId: ended.result.jobId })
    const completed = ended.events.filter(({ type, state }) => type === 'shard' && state === 'completed').map(({ shard }) => Number(shard))
    expect(completed.toSorted((a, b) => a - b)).toEqual(Array.from({ length: 20 }, (_, index) => index))
    here.clean(ended)
  })

  test('people see progress on standard error and the end, with the next command, on standard output', async () => {
    using here = place()
    here.write('job.yaml', probeJob(['show'], 'name: plain\n'))
    const ended = await here.skrei('run', 'job.yaml')
    expect(ended.stderr).toMatch(/job: running, 1 shard\n/)
    expect(ended.stderr).toMatch(/shard 0: completed \(1\/1 shards\)/)
    expect(ended.stdout).toMatch(/^completed {2}plain, 1 shard, .*s\n/)
    expect(ended.stdout).toMatch(/skrei get bafy\w+ DIR\n/)
    here.clean(ended)
  })

  test('a failed job says which shard, why, the end of its stderr and what to do; its result is there', async () => {
    using here = place()
    here.write('job.yaml', probeJob(['exit', '7'], 'name: failing\n'))
    const ended = await here.skrei('run', 'job.yaml', '--output', 'result')
    expect(ended.code).toBe(1)
    expect(ended.stdout).toMatch(/^failed {2}failing, 0 of 1 shard completed, 1 failed/)
    expect(ended.stdout).toMatch(/exit-nonzero {2}\(shard 0 on 12D3KooW\w+\)/)
    expect(ended.stdout).toContain('│ ·[31mgiving up·[0m with 7')
    expect(ended.stdout).toContain("→ Read the shard's stderr")
    expect(JSON.parse(read(here.jobs, 'result/result.json'))).toMatchObject({ state: 'failed', shards: [{ state: 'failed', exit: 7 }] })
    here.clean(ended)
  })
})
