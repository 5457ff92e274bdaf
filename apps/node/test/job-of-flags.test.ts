import { mkdirSync } from 'node:fs'
import { join } from 'node:path'
import { printJob, readJob, specCid } from '@skrei/job-spec'
import { expect, test } from 'vitest'
import { CliError } from '../src/cli-errors.ts'
import { type DockerFlags, jobOfFlags } from '../src/job-of-flags.ts'
import { place } from './command-line.ts'

// `skrei docker`: what people type becomes the job that they mean, or an error that names the flag.

const directory = '/somewhere/not/there'
const cid = 'bafybeibrnlmgfw3af73we7boib72xdtq5fcq3yl5xztxojvzmhenfx3t6m'
const made = (flags: DockerFlags, command: readonly string[] = []) => jobOfFlags({ image: 'busybox', command, flags, directory })
const problems = (flags: DockerFlags, command: readonly string[] = []): readonly (readonly [flag: string | undefined, code: string])[] => {
  try {
    made(flags, command)
  } catch (error) {
    if (error instanceof CliError) return error.problems.map(({ flag, code }) => [flag, code])
  }
  throw new Error('was taken')
}

test('an image alone is a job that keeps /outputs, and leaves everything else to the defaults', () => {
  expect(made({}).spec).toEqual({ apiVersion: 'skrei/v1', engine: { type: 'docker', image: 'busybox' }, outputs: [{ name: 'outputs', path: '/outputs' }] })
})

test('every flag says what it is called after', () => {
  const flags = {
    outputPath: ['/out', '/data/more of it'],
    env: ['LEVEL=3', 'EMPTY=', 'SUM=1+1=2'],
    cpu: '1500m',
    memory: '1Gi',
    disk: '2Gi',
    gpu: '2',
    network: 'http',
    domain: ['example.org', '*.example.com'],
    entrypoint: '/bin/sh',
    workdir: '/work',
    user: '1000:1000',
    pull: 'never',
    timeout: '20m',
    publisher: 'local',
    name: 'a name',
  }
  expect(made(flags, ['-c', 'true']).spec).toEqual({
    apiVersion: 'skrei/v1',
    name: 'a name',
    engine: { type: 'docker', image: 'busybox', entrypoint: ['/bin/sh'], args: ['-c', 'true'], workingDirectory: '/work', user: '1000:1000', pull: 'never' },
    outputs: [
      { name: 'out', path: '/out' },
      { name: 'data-more_of_it', path: '/data/more of it' },
    ],
    publisher: [{ type: 'local' }],
    resources: { cpu: 1500, memory: 2 ** 30, disk: 2 ** 31, gpu: { count: 2 } },
    timeouts: { execution: 1_200_000 },
    env: { LEVEL: '3', EMPTY: '', SUM: '1+1=2' },
    network: { mode: 'http', domains: ['example.org', '*.example.com'] },
  })
})

test('a domain means mode http', () => {
  expect(made({ domain: ['example.org'] }).spec.network).toEqual({ mode: 'http', domains: ['example.org'] })
})

test('a program that may run for long is in a job that may take longer', () => {
  expect(made({ timeout: '3h' }).spec.timeouts).toEqual({ execution: 3 * 3_600_000, total: 4 * 3_600_000 })
})

test.each([
  ['data.csv', { type: 'local', path: 'data.csv' }, '/inputs'],
  ['./deep/../data.csv:/inputs/d.csv', { type: 'local', path: 'data.csv' }, '/inputs/d.csv'],
  ['.', { type: 'local', path: '.' }, '/inputs'],
  ['..hidden', { type: 'local', path: '..hidden' }, '/inputs'],
  ['../beside:/b', { type: 'local', path: '/somewhere/not/beside' }, '/b'],
  ['/absolute', { type: 'local', path: '/absolute' }, '/inputs'],
  ['C:x', { type: 'local', path: 'C:x' }, '/inputs'],
  ['https://example.org/a.csv', { type: 'https', url: 'https://example.org/a.csv' }, '/inputs'],
  ['https://example.org:8080/a.csv:/x/a.csv', { type: 'https', url: 'https://example.org:8080/a.csv' }, '/x/a.csv'],
  [cid, { type: 'ipfs', cid }, '/inputs'],
  [`${cid}:/d`, { type: 'ipfs', cid }, '/d'],
  [`./${cid}`, { type: 'local', path: cid }, '/inputs'],
])('the input %s is read as what it is', (text, source, path) => {
  expect(made({ input: [text] }).spec.inputs).toEqual([{ source, path }])
})

test('only what is named may be read of this machine', () => {
  using here = place()
  mkdirSync(join(here.jobs, 'data'))
  const { allow, base } = jobOfFlags({
    image: 'x',
    command: [],
    flags: { input: ['data', 'https://example.org/x:/x', `${here.home}:/y`] },
    directory: here.jobs,
  })
  expect([base, allow]).toEqual([here.jobs, [join(here.jobs, 'data'), join(here.home, '..')]])
})

test.each<readonly [DockerFlags, string, string]>([
  [{ memory: '12Q' }, '--memory', 'bad-quantity'],
  [{ cpu: '-1' }, '--cpu', 'bad-quantity'],
  [{ disk: '' }, '--disk', 'bad-quantity'],
  [{ gpu: 'all' }, '--gpu', 'wrong-type'],
  [{ gpu: '1e3' }, '--gpu', 'wrong-type'],
  [{ timeout: '0s' }, '--timeout', 'bad-duration'],
  [{ input: [''] }, '--input', 'usage'],
  [{ input: ['x:/../y'] }, '--input', 'bad-path'],
  [{ input: ['x:/'] }, '--input', 'bad-path'],
  [{ input: ['a', 'b'] }, '--input', 'conflict'],
  [{ input: ['ftp://example.org/x'] }, '--input', 'bad-value'],
  [{ outputPath: ['outputs'] }, '--output-path', 'bad-path'],
  [{ input: ['x:/a'], outputPath: ['/a/b'] }, '--output-path', 'conflict'],
  [{ env: ['LEVEL'] }, '--env', 'usage'],
  [{ env: ['=3'] }, '--env', 'usage'],
  [{ env: ['A=1', 'A=2'] }, '--env', 'usage'],
  [{ env: ['A B=1'] }, '--env', 'bad-value'],
  [{ env: ['__proto__=1'] }, '--env', 'unknown-key'],
  [{ network: 'host' }, '--network', 'bad-value'],
  [{ network: 'http' }, '--network', 'usage'],
  [{ network: 'full', domain: ['example.org'] }, '--domain', 'conflict'],
  [{ domain: ['https://example.org'] }, '--domain', 'bad-value'],
  [{ workdir: 'work' }, '--workdir', 'bad-path'],
  [{ user: 'a b' }, '--user', 'bad-value'],
  [{ pull: 'sometimes' }, '--pull', 'bad-value'],
  [{ publisher: 's3' }, '--publisher', 'bad-value'],
  [{ name: 'two\nlines' }, '--name', 'bad-value'],
  [{ entrypoint: 'a\0b' }, '--entrypoint', 'bad-value'],
])('%j is refused at %s', (flags, flag, code) => {
  expect(problems(flags)).toEqual([[flag, code]])
})

test('everything that is wrong is told at once, an image and a command too', () => {
  expect(() => jobOfFlags({ image: 'busy box', command: ['a\0b'], flags: { cpu: 'x' }, directory })).toThrow(
    expect.objectContaining({
      exit: 2,
      problems: [
        expect.objectContaining({ flag: 'IMAGE', path: 'engine.image' }),
        expect.objectContaining({ flag: 'COMMAND', path: 'engine.args[0]' }),
        expect.objectContaining({ flag: '--cpu', path: 'resources.cpu' }),
      ],
    }),
  )
})

test('more than a job file holds is refused', () => {
  expect(
    problems(
      {},
      Array.from({ length: 20 }, () => 'x'.repeat(100_000)),
    ),
  ).toEqual([[undefined, 'too-large']])
})

const hostile = [
  ...['', ' ', '\n', '- x', 'a: b', '# no', 'x # y', '<<', '&a', '*a', '!!js/function x', '%YAML 1.1', '---', '...', '|', '>', '?', '@x', '`x`', '{', ']', ','],
  ...[
    'yes',
    'null',
    '~',
    '0x10',
    '1e3',
    '.inf',
    '2026-01-01',
    '"',
    "'",
    'it\'s "so"',
    '\\',
    '\\n',
    '\ttab',
    'trailing ',
    '\r\n',
    '\u0085',
    '\u2028',
    '\x1b[31m',
    '\x7f',
  ],
  ...['\u202e', '🐟', 'a\n  b\n', '\n\n x', '$(id)', '--json', '__proto__'],
]

test('whatever is typed comes out of the printed job file as it was', () => {
  const { spec } = made({ env: hostile.map((text, index) => `V${index}=${text}`), name: '- name: "x" # y', entrypoint: '&x' }, hostile)
  const printed = printJob(spec)
  expect(printed).not.toContain('\x1b')
  const again = readJob(printed, { file: 'job.yaml' })
  expect(again).toMatchObject({ ok: true, spec: { engine: { args: hostile }, env: { V0: '', V1: ' ' } } })
  expect(again.ok && specCid(again.spec)).toBe(specCid(spec))
})

test('--print shows a job file that validate takes, and neither runs nor makes anything', async () => {
  using here = place()
  here.write('data.csv', 'a,b\n')
  const printed = await here.skrei('docker', 'busybox', '--input', 'data.csv', '--print', '--', 'sh', '-c', 'echo --json "$A" > /outputs/x\n')
  expect([printed.code, printed.stderr]).toEqual([0, ''])
  here.write('job.yaml', printed.stdout)
  const valid = await here.skrei('validate', 'job.yaml')
  expect([valid.code, valid.stdout]).toEqual([0, expect.stringContaining('job.yaml: valid, bafy')])
  expect(printed.stdout).toContain('path: data.csv')
  here.clean(printed)
})

test('what is wrong names the flag, for people and for scripts, also where it is only seen by looking', async () => {
  using here = place()
  const wrong = await here.skrei('docker', 'busybox', '--memory', '12Q', '--', 'x', '--json')
  expect([wrong.code, wrong.stdout]).toEqual([2, ''])
  expect(wrong.stderr).toContain('error --memory: bad-quantity: ')
  const missing = await here.skrei('docker', 'busybox', '--input', 'missing.csv', '--json')
  expect(missing.code).toBe(2)
  expect(JSON.parse(missing.stdout)).toMatchObject({
    type: 'result',
    error: { code: 'source-not-found', flag: '--input', path: 'inputs[0].source.path', remedy: 'Correct the path: it is relative to the current directory.' },
  })
  const none = await here.skrei('docker')
  expect([none.code, none.stderr]).toEqual([2, expect.stringContaining("missing required argument 'IMAGE'")])
})

test('without an engine it ends as `skrei run` does, with --plan too', async () => {
  using here = place()
  const ended = await here.skrei('docker', 'busybox', '--json', '--', 'true')
  expect([ended.code, JSON.parse(ended.stdout.trimEnd().split('\n').at(-1) ?? '')]).toMatchObject([3, { type: 'result', error: { code: 'no-node' } }])
  const planned = await here.skrei('docker', 'busybox', '--plan', '--json')
  expect([planned.code, JSON.parse(planned.stdout)]).toMatchObject([3, { type: 'plan', outcome: 'no-node', error: { code: 'no-node' } }])
  here.clean(ended)
})
