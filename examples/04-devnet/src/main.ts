// A network of five processes on this machine. A job of 24 shards runs over them; one of the processes is killed while it computes; the timeline shows where its shards went.
import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtemp, readFile, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { styleText } from 'node:util'

const example = join(import.meta.dirname, '..')
const say = (text = ''): void => void process.stdout.write(`${text}\n`)
const title = (text: string): void => say(`\n${styleText(['bold', 'cyan'], text)}`)
const dim = (text: string): string => styleText('dim', text)

type Event = Readonly<Record<string, unknown>> & { readonly type: string }
interface Running {
  readonly child: ChildProcess
  /** What it tells, an event at a time. */
  readonly events: AsyncIterable<Event>
  readonly ended: Promise<number | null>
}

/** Starts the command line with --json. */
const start = (...args: readonly string[]): Running => {
  say(dim(`$ skrei ${args.join(' ')}`))
  const child = spawn(process.execPath, ['--conditions=@skrei/source', join(example, '../../apps/node/src/main.ts'), ...args, '--json'], {
    cwd: example,
    stdio: ['ignore', 'pipe', 'ignore'],
  })
  const events = async function* (): AsyncGenerator<Event> {
    for await (const line of createInterface({ input: child.stdout })) yield JSON.parse(line) as Event
  }
  return { child, events: events(), ended: once(child, 'close').then(([code]) => code as number | null) }
}

/** Runs the command line for people. */
const show = async (...args: readonly string[]): Promise<void> => {
  say(dim(`$ skrei ${args.join(' ')}`))
  const child = spawn(process.execPath, ['--conditions=@skrei/source', join(example, '../../apps/node/src/main.ts'), ...args], {
    cwd: example,
    stdio: ['ignore', 'inherit', 'inherit'],
  })
  const [code] = (await once(child, 'close')) as [number | null]
  if (code !== 0) throw new Error(`skrei ended with exit code ${code}`)
}

interface Node {
  readonly name: string
  readonly nodeId: string
  readonly api: string
  readonly pid: number
}

// Ctrl-C reaches the network too, which ends and removes what it kept.
process.once('SIGINT', () => undefined)
title('1. A network of five processes')
// Room for two executions on each.
const devnet = start('devnet', '--nodes', '5', '--cpu', '200m')
const results = await mkdtemp(join(tmpdir(), 'skrei-example-'))
try {
  const nodes = new Map<string, Node>()
  const told = devnet.events[Symbol.asyncIterator]()
  for (let next = await told.next(); next.done !== true && next.value.type !== 'ready'; next = await told.next()) {
    if (next.value.type !== 'node') continue
    const node = next.value as unknown as Node
    nodes.set(node.nodeId, node)
    say(`  ${node.name}  ${node.api}  ${dim(`pid ${node.pid}`)}`)
  }
  const [requester] = nodes.values()
  if (requester === undefined) throw new Error('the network did not start')

  title('2. A job of 24 shards, and a node that dies')
  const run = start('run', 'job.yaml', '--node', requester.api, '--output', join(results, 'result'))
  let jobId = ''
  const computed = new Set<unknown>()
  let failure: unknown
  let killed: Node | undefined
  for await (const event of run.events) {
    if (event.type === 'submitted') jobId = String(event['jobId'])
    if (event.type === 'result') failure = event['error']
    if (event.type !== 'shard') continue
    if (event['state'] === 'publishing' || event['state'] === 'completed') computed.add(event['shard'])
    // Once some are computed, whichever other process starts the next one is killed. On a busy machine the last shard starts before the first is completed.
    const at = nodes.get(String(event['node']))
    if (killed !== undefined || computed.size < 4 || event['state'] !== 'staging' || at === undefined || at === requester) continue
    process.kill(at.pid, 'SIGKILL')
    killed = at
    say(`  ${computed.size} shards are computed; ${styleText('red', `kill -9 ${at.pid}`)}, which is ${at.name} ${dim(`(…${at.nodeId.slice(-8)})`)}`)
  }
  if ((await run.ended) !== 0) throw new Error(`the job did not complete: ${JSON.stringify(failure)}`)
  if (killed === undefined) throw new Error('no shard started on another node once some were computed: nothing was killed')

  title('3. What became of it')
  await show('job', 'describe', jobId, '--node', requester.api)

  const result = JSON.parse(await readFile(join(results, 'result/result.json'), 'utf8')) as {
    readonly counts: { readonly total: number; readonly completed: number }
    readonly shards: readonly { readonly executions: readonly { readonly outcome: string }[] }[]
  }
  const again = result.shards.filter(({ executions }) => executions.length > 1).length
  say(`\n${styleText('green', '✓')} ${result.counts.completed} of ${result.counts.total} shards completed; ${again} of them a second time, elsewhere`)
} finally {
  devnet.child.kill('SIGTERM')
  await devnet.ended
  await rm(results, { recursive: true })
}
