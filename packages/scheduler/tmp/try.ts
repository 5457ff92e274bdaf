import { createScheduler } from '../src/index.ts'
import { tmpStore } from './store.ts'
import { sysClock, tmpNet } from './net.ts'
import { createIdentity, checkSignature } from '@skrei/protocol'
import { noopExecutor } from '@skrei/executor/noop'
import { localWorkspace, localSource, localPublisher } from '@skrei/storage/local'
import { inlineSource } from '@skrei/storage/inline'
import { readJob } from '@skrei/job-spec'
import { mkdtempSync, readdirSync, readFileSync } from 'node:fs'
const dir = mkdtempSync('/tmp/sk-')
const clock = sysClock(), store = tmpStore(), net = tmpNet(), identity = createIdentity()
let n = 0
const s = createScheduler({ network: 'test', identity, check: checkSignature, clock, random: Math.random, jobId: () => `job-${++n}`, store, transport: net.join(identity.nodeId),
  workspace: localWorkspace({ directory: dir + '/ws' }), sources: [inlineSource(), localSource({ allow: [dir] })], publishers: [localPublisher({ directory: dir + '/pub' })],
  compute: { executors: [noopExecutor()], capacity: { cpu: 2000, memory: 8e9, disk: 100e9 } },
  logger: { debug: (m, f) => console.log('debug', m, f), info: console.log, warn: (m, f) => console.log('WARN', m, f), error: (m, f) => console.log('ERROR', m, f) } })
s.watch((e) => { if (e.type === 'progress') console.log('  progress', e.shard, e.phase, e.fraction); else console.log(e.transition.kind, e.transition.id.slice(-12), e.transition.event.type, e.transition.from ?? '-', '->', e.transition.to, e.transition.actor.slice(0, 20)) })
await s.start()
const yaml = process.argv[2] ?? `
apiVersion: skrei/v1
engine: { type: noop, duration: 50ms, stdout: "hi", files: { /outputs/a: "x" } }
inputs: [{ source: { type: inline, text: hello }, path: /inputs/x.txt }]
outputs: [{ name: out, path: /outputs }]
publisher: { type: local }
sharding: { count: 3 }
`
const r = await readJob(yaml, { file: 'job.yaml' })
if (!r.ok) { console.log(r); process.exit(2) }
const id = await s.submit(r.spec)
const v = await s.finished(id)
console.log(v); console.log(JSON.stringify(s.result(id), null, 1))
if (v.reference?.path) console.log(readdirSync(v.reference.path, { recursive: true }))
await new Promise(r => setTimeout(r, 100))
console.log('open rows', store.read(r => r.list('compute', { open: true, limit: 99 }).length), 'outbox', store.read(r => r.pending(0, 99).length), readdirSync(dir + '/ws'), store.read(r => r.get('ledger', 'node'))?.data, 'deadline', store.read(r => r.nextDeadline()))
await s.stop()
process.exit(0)
