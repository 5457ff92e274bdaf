// "Run this image on these inputs within these limits": one package, no node. What the container used is drawn from the samples that the executor takes while it runs.
import { mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { basename, join } from 'node:path'
import { styleText } from 'node:util'
import type { RunExit } from '@skrei/executor'
import { dockerExecutor } from '@skrei/executor-docker'
import { resolve, specCid, taskOf } from '@skrei/job-spec'
import { best, flights, hopsOf, program } from './flights.ts'
import { type Point, plot, rate } from './plot.ts'

const say = (text = ''): void => void process.stdout.write(`${text}\n`)
const title = (text: string): void => say(`\n${styleText(['bold', 'cyan'], text)}`)
const dim = (text: string): string => styleText('dim', text)
const mebibytes = (bytes: number): string => `${(bytes / 2 ** 20).toFixed(1)} MiB`

const draw = (name: string, points: readonly Point[], end: number, colour: 'green' | 'yellow', unit: (value: number) => string): void => {
  say(`  ${name}, up to ${unit(Math.max(0, ...points.map(({ value }) => value)))}`)
  for (const row of plot(points, { width: 60, height: 4, end })) say(`  ${dim('│')}${styleText(colour, row)}`)
  say(dim(`  └${'─'.repeat(60)} ${(end / 1000).toFixed(1)} s`))
}

const interrupt = new AbortController()
process.once('SIGINT', () => interrupt.abort(new Error('interrupted')))

const directory = await mkdtemp(join(tmpdir(), 'skrei-usage-'))
// Containers are called after the namespace: of two that run this at once each has its own.
const executor = dockerExecutor({ directory: join(directory, 'state'), namespace: basename(directory) })
try {
  title('1. An image, its input and its limits')
  const csv = flights()
  for (const name of ['inputs', 'outputs']) await mkdir(join(directory, name))
  await writeFile(join(directory, 'inputs/flights.csv'), csv)
  const spec = {
    apiVersion: 'skrei/v1' as const,
    engine: { type: 'docker' as const, image: 'busybox', entrypoint: ['sh', '-c', program] },
    outputs: [{ name: 'hops', path: '/outputs' }],
    resources: { cpu: 250, memory: 64 * 2 ** 20, disk: 8 * 2 ** 20 },
  }
  say(`  ${spec.engine.image}, ${csv.trim().split('\n').length - 1} routes between airports; a quarter of a core, 64 MiB, no network`)
  const task = taskOf(resolve(spec), specCid(spec))
  const refusals = await executor.assess(task, { signal: interrupt.signal })
  if (refusals.length > 0) throw new Error(refusals.map(({ code, detail }) => `${code}: ${detail}`).join('; '))

  title('2. It runs, and its counters are read meanwhile')
  const request = {
    id: 'hops',
    task,
    seed: new Uint8Array(32),
    mounts: [
      { path: join(directory, 'inputs'), at: '/inputs', writable: false },
      { path: join(directory, 'outputs'), at: '/outputs', writable: true },
    ],
    files: {},
    env: {},
    devices: [],
    from: { stdout: 0, stderr: 0 },
  }
  const samples: { readonly at: number; readonly counters: Readonly<Record<string, number>> }[] = []
  let end: RunExit | undefined
  for await (const event of executor.run(request, { signal: interrupt.signal })) {
    if (event.type === 'output') say(`  ${dim('│')} ${new TextDecoder().decode(event.bytes).trimEnd()}`)
    else if (event.type === 'evidence') samples.push(event)
    else if (event.type === 'exit') end = event
  }
  if (end?.exit !== 0) throw new Error(`it ended with ${JSON.stringify(end?.failure ?? end)}`)

  title('3. What it used')
  // What is not known is absent, never 0.
  const points = (name: string): readonly Point[] =>
    samples.flatMap(({ at, counters }) => (counters[name] === undefined ? [] : [{ at, value: counters[name] }]))
  const until = samples.at(-1)?.at ?? 1
  draw('CPU', rate(points('cpuMs')), until, 'green', (cores) => `${Math.round(cores * 100)} % of a core`)
  draw('Memory', points('memory'), until, 'yellow', mebibytes)
  const { cpuMs, memoryPeak, wallMs, outputBytes } = end.usage
  const known = [cpuMs !== undefined && `${Math.round(cpuMs)} ms of CPU time`, memoryPeak !== undefined && `at most ${mebibytes(memoryPeak)}`].filter(Boolean)
  say(`  ran for ${wallMs} ms, ${outputBytes} bytes written; up to the last of ${samples.length} samples ${known.join(', ')}`)
  say(dim(`  image ${end.facts['imageId']}`))

  title('4. The answer: from where the other airports are the fewest flights away')
  const table = await readFile(join(directory, 'outputs/hops.csv'), 'utf8')
  for (const { from, reached, mean } of best(table).slice(0, 5)) say(`  ${from}  ${reached} airports, ${mean.toFixed(3)} flights`)
  if (table !== hopsOf(csv)) throw new Error('the container computed something else than JavaScript does here')
  say(`\n  ${styleText('green', '✓')} ${table.trim().split('\n').length} connections; the same as computed here without a container`)
} catch (error) {
  say(styleText('red', `\n  ✗ ${error instanceof Error ? error.message : String(error)}`))
  process.exitCode = 1
} finally {
  await executor.remove('hops').catch(() => undefined)
  await executor[Symbol.asyncDispose]()
  await rm(directory, { recursive: true })
}
