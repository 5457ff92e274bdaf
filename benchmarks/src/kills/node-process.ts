// A node that is killed: takes up what its home holds, and keeps jobs coming; with the argument `finish` it submits nothing, waits until
// everything has ended, and ends itself. Its parent is told when it has made as many transitions as the parent asked for.
// `node-process.ts <home> <transitions>|finish`
import { closeSync, existsSync, fsyncSync, openSync, readdirSync, readFileSync, writeFileSync, writeSync } from 'node:fs'
import { setTimeout as pause } from 'node:timers/promises'
import { noopExecutor } from '@skrei/executor/noop'
import { wasmExecutor } from '@skrei/executor-wasm'
import type { JobSpec } from '@skrei/job-spec'
import { createIdentity, identityFrom } from '@skrei/protocol'
import { localPublisher } from '@skrei/storage/local'
import { clock, diskNode } from '../disk-node.ts'
import { homeOf } from './home.ts'

const mebibyte = 2 ** 20
/** Jobs that are under way at once. */
const underWay = 12

// It stands in a session of its own: nobody else would end it.
const orphaned = (): never => process.exit(1)
process.once('disconnect', orphaned)
// That may have been before anybody listened.
if (!process.connected) orphaned()

const [, , folder = '', mode] = process.argv
const home = homeOf(folder)

const appendLine = (path: string, line: string): void => {
  const file = openSync(path, 'a', 0o600)
  writeSync(file, `${line}\n`)
  fsyncSync(file)
  closeSync(file)
}

const key = existsSync(home.key) ? readFileSync(home.key) : undefined
const identity = key?.length === 32 ? identityFrom(key) : createIdentity()
if (key?.length !== 32) writeFileSync(home.key, identity.exportPrivateKey(), { flush: true })

const module = { type: 'inline', base64: readFileSync(new URL('./spins.wasm', import.meta.url)).toString('base64') } as const
/** Whoever is killed often tries often. */
const common: Omit<JobSpec, 'name' | 'engine'> = {
  apiVersion: 'skrei/v1',
  outputs: [{ name: 'out', path: '/out' }],
  resources: { cpu: 500, memory: 16 * mebibyte, disk: mebibyte },
  publisher: [{ type: 'local' }],
  retry: { attempts: 100, perNode: 100, backoff: 1 },
}
const specs: readonly JobSpec[] = [
  { ...common, name: 'short', engine: { type: 'noop', stdout: 'short\n', files: { '/out/a': 'a' } } },
  { ...common, name: 'guest', engine: { type: 'wasm', module } },
  { ...common, name: 'sharded', engine: { type: 'noop', duration: 50, files: { '/out/a': 'a' } }, sharding: { count: 3 } },
  { ...common, name: 'long', engine: { type: 'noop', duration: 400, stdout: 'long\n' } },
]

const wasm = wasmExecutor({ directory: home.wasm, warm: 1 })
const node = diskNode({
  folder,
  identity,
  publishers: [localPublisher({ directory: home.published })],
  compute: { executors: [noopExecutor(), wasm], capacity: { cpu: 4000, memory: 2 ** 30, disk: 2 ** 30 } },
  settings: { lease: 1000, heartbeat: 200, retryAfter: 100 },
  logger: { debug: () => {}, info: () => {}, warn: () => {}, error: (message, fields) => appendLine(home.wrong, `${message} ${JSON.stringify(fields)}`) },
})
const { scheduler, store } = node

let transitions = 0
scheduler.watch(({ type }) => {
  if (type === 'transition' && ++transitions === Number(mode)) process.send?.('enough')
})
await scheduler.start()

/** Nothing to do, nothing under way, nothing held. */
const isQuiet = (): boolean =>
  store.read(
    (reader) =>
      reader.pending(0, 1).length === 0 && ['job', 'shard', 'execution', 'compute'].every((kind) => reader.list(kind, { open: true, limit: 1 }).length === 0),
  ) && [home.workspace, home.wasm].every((directory) => !existsSync(directory) || readdirSync(directory).length === 0)

const openJobs = (): number => store.read((reader) => reader.list('job', { open: true, limit: underWay }).length)

if (mode === 'finish') {
  const end = clock.now() + 120_000
  while (!isQuiet() && clock.now() < end) await pause(50)
  await node[Symbol.asyncDispose]()
  await wasm[Symbol.asyncDispose]()
  process.off('disconnect', orphaned)
  process.disconnect()
} else {
  for (let next = 0; ; next++) {
    while (openJobs() >= underWay) await pause(5)
    const spec = specs[next % specs.length]
    if (spec) appendLine(home.accepted, await scheduler.submit(spec))
  }
}
