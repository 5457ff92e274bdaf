import { fileURLToPath } from 'node:url'
import { executorConformance } from '@skrei/executor/conformance'
import { afterAll } from 'vitest'
import { executorOn } from '../src/executor.ts'
import { processPool } from '../src/process-pool.ts'
import { moduleAt, program, wasm } from './modules.ts'

// A process for each check would take most of the time.
const pool = processPool({ warm: 2, runsPerProcess: 1000 })
afterAll(() => pool[Symbol.asyncDispose]())

executorConformance({
  name: 'wasm',
  create: ({ home }) => executorOn(pool, { directory: home }),
  capabilities: { restart: true },
  programs: {
    hello: program('hello'),
    exit7: program('exit7'),
    forever: program('forever'),
    beats: program('beats'),
    flood: program('flood'),
    arguments: program('arguments', 'one', 'two words', ''),
    environment: program('environment'),
    stdin: wasm('programs', { args: ['stdin'], stdin: 'from stdin' }),
    reads: program('reads'),
    tampers: program('tampers'),
    writes: program('writes'),
    fills: program('fills'),
    scatters: program('scatters'),
    links: program('links'),
    random: program('random'),
    traps: program('unreachable'),
    exhausts: wasm('large-memory'),
    invalid: moduleAt(fileURLToPath(import.meta.url)),
    missing: moduleAt('/nowhere/module.wasm'),
    unsupported: { engine: { type: 'wasm', module: { type: 'inline', text: '' }, fuel: 1 } },
  },
})
