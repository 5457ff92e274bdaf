import { execFile, spawnSync } from 'node:child_process'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { expect, test } from 'vitest'
import { loadSuite, suiteNames } from '../src/load-suites.ts'

const bench = (...args: string[]) =>
  promisify(execFile)(process.execPath, ['--conditions=@skrei/source', 'src/main.ts', ...args], { cwd: join(import.meta.dirname, '..') })

/** Suites that read the tables of processes and sockets of Linux. */
const linuxOnly = ['kills', 'network-kills', 'jobs']
/** Needs a Docker engine, which CI has. */
const onEngine = ['docker']
const missing = process.env['CI'] !== 'true' && spawnSync('docker', ['image', 'inspect', 'busybox']).status !== 0
const onAnySystem = suiteNames().filter((name) => ![...linuxOnly, ...onEngine].includes(name))

const givesItsFigures = async (name: string): Promise<void> => {
  const { stdout } = await bench(name, '--smallest', '--repeat', '1', '--json')
  const last = JSON.parse(stdout.trimEnd().split('\n').at(-1) ?? '') as { suite: string; figures: Record<string, number> }
  const { figures } = await loadSuite(name)
  expect(last.suite).toBe(name)
  expect(Object.keys(last.figures)).toEqual(Object.keys(figures))
  for (const [figure, value] of Object.entries(last.figures)) expect(Number.isFinite(value), figure).toBe(true)
}

const title = 'the suite %s gives each of its figures, at its smallest size'
test.each(onAnySystem)(title, { timeout: 300_000 }, givesItsFigures)
test.skipIf(process.platform !== 'linux').each(linuxOnly)(title, { timeout: 300_000 }, givesItsFigures)
test.skipIf(missing).each(onEngine)(
  `${title}${missing ? ' (skipped: no Docker engine; run: sudo bash scripts/ci-machine)' : ''}`,
  { timeout: 300_000 },
  givesItsFigures,
)

/** Whoever compares over time reads figures by these names. */
const published: Readonly<Record<string, readonly string[]>> = {
  kernel: ['cpuMsPerJob', 'jobsPerSecond'],
  simulation: ['executionsPerSecond', 'messagesPerExecution10', 'messagesPerExecution10000', 'costRatio', 'rssMiB'],
  faults: ['seeds', 'lawsBroken', 'mutants', 'mutantsCaught'],
  planning: ['seconds', 'rssMiB'],
  jobs: ['jobsPerSecond', 'meanMs', 'p99Ms', 'cpuMsPerJob', 'bytesPerJob', 'oneClientMs', 'listMs', 'readyMs', 'readyIpfsMs', 'rssMiB', 'rssIpfsMiB'],
  docker: ['overheadMs', 'parallelRatio', 'rssGrowthMiB'],
  transport: ['roundTripRatio', 'messagesPerSecond'],
  kills: ['kills', 'jobsLost', 'doubleResults', 'processesLeft'],
  'network-kills': ['kills', 'jobsLost', 'doubleResults', 'processesLeft'],
}

test.each(Object.entries(published))('the figures of %s keep their names', async (name, figures) => {
  expect(Object.keys((await loadSuite(name)).figures)).toEqual(expect.arrayContaining([...figures]))
})

test('a suite that is not there is refused with the list of those that are', async () => {
  await expect(bench('nothing')).rejects.toMatchObject({ code: 2, stderr: expect.stringContaining(`Suites: ${suiteNames().join(', ')}`) })
})
