// The main job, from a job file to a checked answer: serves public data on loopback as its owner would, runs `skrei run`, fetches the result back by its CID.
import { spawn } from 'node:child_process'
import { mkdtemp, readdir, readFile, rm } from 'node:fs/promises'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { isDeepStrictEqual, styleText } from 'node:util'
import { delaysByHour, flightsByWeek, type Hour } from './flights.ts'

const example = join(import.meta.dirname, '..')
const say = (text = ''): void => void process.stdout.write(`${text}\n`)
const title = (text: string): void => say(`\n${styleText(['bold', 'cyan'], text)}`)
const dim = (text: string): string => styleText('dim', text)

/** Runs the command line; people's output passes through, standard output comes back. */
const skrei = async (args: readonly string[], input = ''): Promise<string> => {
  say(dim(`$ skrei ${args.join(' ')}`))
  const child = spawn(process.execPath, ['--conditions=@skrei/source', join(example, '../../apps/node/src/main.ts'), ...args], {
    cwd: example,
    stdio: ['pipe', 'pipe', 'inherit'],
  })
  child.stdin.end(input)
  const [output, code] = await Promise.all([
    new Response(ReadableStream.from(child.stdout)).text(),
    new Promise<number | null>((resolve, reject) => child.once('error', reject).once('exit', resolve)),
  ])
  if (code !== 0) throw new Error(`skrei ended with exit code ${code}`)
  return output
}

/** Adds up the tables of all shards. */
const collect = async (result: string): Promise<readonly Hour[]> => {
  const sums = Array.from({ length: 24 }, (_, hour) => ({ hour, flights: 0, late: 0, minutes: 0 }))
  for (const shard of await readdir(join(result, 'shards'))) {
    const table = await readFile(join(result, 'shards', shard, 'outputs/delays/by-hour.csv'), 'utf8')
    for (const line of table.trim().split('\n').slice(1)) {
      const [hour = 0, flights = 0, late = 0, minutes = 0] = line.split(',').map(Number)
      const sum = sums[hour]
      if (sum === undefined) throw new Error(`not an hour: ${line}`)
      sum.flights += flights
      sum.late += late
      sum.minutes += minutes
    }
  }
  return sums
}

const print = (hours: readonly Hour[]): void => {
  say(dim('  hour   flights   late   '))
  for (const { hour, flights, late } of hours) {
    if (flights < 100) continue
    const share = late / flights
    const colour = share < 0.15 ? 'green' : share < 0.25 ? 'yellow' : 'red'
    say(
      `  ${String(hour).padStart(2, '0')}:00  ${String(flights).padStart(7)}  ${`${Math.round(share * 100)} %`.padStart(5)}  ${styleText(colour, '█'.repeat(Math.round(share * 60)))}`,
    )
  }
}

// Ctrl-C reaches the command line too, which cancels its job; what is here is cleaned up after it.
process.once('SIGINT', () => undefined)
const files = flightsByWeek()
const server = createServer((request, response) => {
  const text = files.get(request.url?.replace('/flights/', '') ?? '')
  response.writeHead(text === undefined ? 404 : 200, { 'content-type': 'application/json' }).end(text)
})
await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
const fetched = await mkdtemp(join(tmpdir(), 'skrei-example-'))
try {
  const { port } = server.address() as AddressInfo
  const job = (await readFile(join(example, 'job.yaml'), 'utf8')).replaceAll('127.0.0.1:8701', `127.0.0.1:${port}`)

  title('1. A job file: what to run, on what, and what to keep')
  say(
    dim(
      job
        .replace(/(week-02[^\n]*\n)[\s\S]*(\n[^\n]*week-13)/, '$1        - …$2')
        .trimEnd()
        .replaceAll(/^/gm, '  '),
    ),
  )

  title('2. The job runs: no server, no daemon, no configuration')
  const events = (await skrei(['run', '-', '--json', '--allow-private-addresses'], job)).trim().split('\n')
  const { results } = JSON.parse(events.at(-1) ?? '') as { readonly results: { readonly cid: string } }

  title('3. The result has a CID: whoever has the blocks can fetch it and check that it is this one')
  say((await skrei(['get', results.cid, fetched])).trimEnd())

  title('4. The answer: how many flights leave 15 minutes late or more')
  const answer = await collect(fetched)
  print(answer)
  const expected = delaysByHour(files.values())
  const flights = answer.reduce((sum, hour) => sum + hour.flights, 0)
  if (!isDeepStrictEqual(answer, expected)) throw new Error('the result is not what a computation without skrei gives')
  say(`\n  ${styleText('green', '✓')} ${flights} flights; the same as computed here without skrei`)
} catch (error) {
  say(styleText('red', `\n  ✗ ${error instanceof Error ? error.message : String(error)}`))
  process.exitCode = 1
} finally {
  server.close()
  await rm(fetched, { recursive: true })
}
