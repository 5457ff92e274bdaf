import { chmodSync, mkdirSync, readFileSync, statSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, test } from 'vitest'
import { openHome } from '../src/home.ts'
import { type JsonResult, namesIn, place, probeJob, processesWith } from './command-line.ts'

const isRunning = (line: string): boolean => line.includes('"type":"shard"') && line.includes('"state":"running"')
const spin = probeJob(['spin'])
const short = 'apiVersion: skrei/v1\nengine: { type: noop }\n'
const lastOf = (stdout: string): JsonResult => JSON.parse(stdout.trimEnd().split('\n').at(-1) ?? '') as JsonResult

describe.concurrent('interrupting and dying', () => {
  for (const signal of ['SIGINT', 'SIGTERM'] as const) {
    test(`${signal} cancels the job, waits for its end and leaves nothing`, async () => {
      using here = place()
      const run = here.start('run', here.write('job.yaml', spin), '--json')
      await run.line(isRunning)
      run.child.kill(signal)
      const ended = await run.ended
      expect(ended.code).toBe(130)
      expect(lastOf(ended.stdout)).toMatchObject({ type: 'result', state: 'cancelled', error: { code: 'cancelled' } })
      here.clean(ended)
    })
  }

  test('a second SIGINT ends at once and leaves nothing', async () => {
    using here = place()
    const run = here.start('run', here.write('job.yaml', spin), '--json')
    await run.line(isRunning)
    run.child.kill('SIGINT')
    run.child.kill('SIGINT')
    const ended = await run.ended
    expect(ended.code).toBe(130)
    expect(lastOf(ended.stdout)).toMatchObject({ type: 'result', error: { code: 'cancelled' } })
    here.clean(ended)
  })

  test('after kill -9 nothing runs on, and the next start removes what is left', async () => {
    using here = place()
    const run = here.start('run', here.write('job.yaml', spin), '--json')
    await run.line(isRunning)
    run.child.kill('SIGKILL')
    await run.ended
    expect(namesIn(join(here.home, 'runs'))).toHaveLength(1)
    const next = await here.run(short)
    expect(next.result.state).toBe('completed')
    here.clean(next)
  })

  test('a start leaves the folder of a process that lives alone', async () => {
    using here = place()
    const first = here.start('run', here.write('long.yaml', spin), '--json')
    await first.line(isRunning)
    const second = await here.run(short)
    expect(second.result.state).toBe('completed')
    expect(namesIn(join(here.home, 'runs'))).toHaveLength(1)
    expect(processesWith(here.home)).not.toEqual([])
    first.child.kill('SIGINT')
    expect((await first.ended).code).toBe(130)
    here.clean()
  })

  test('five first runs at once share one key and all complete', async () => {
    using here = place()
    const file = here.write('job.yaml', short)
    const runs = await Promise.all(Array.from({ length: 5 }, () => here.start('run', file, '--json').ended))
    expect(runs.map(({ code }) => code)).toEqual([0, 0, 0, 0, 0])
    const nodes = runs.map(({ stdout }) => (JSON.parse(stdout.split('\n')[0] ?? '') as { readonly node: string }).node)
    expect(new Set(nodes).size).toBe(1)
    expect(statSync(join(here.home, 'identity')).mode & 0o777).toBe(0o600)
    here.clean()
  })
})

describe.concurrent('SKREI_HOME', () => {
  test('one of a newer version is refused and left as it is', async () => {
    using here = place()
    mkdirSync(here.home)
    writeFileSync(join(here.home, 'version'), '99\n')
    const ended = await here.run(short)
    expect([ended.code, ended.result.error?.code]).toEqual([2, 'home-too-new'])
    expect(readFileSync(join(here.home, 'version'), 'utf8')).toBe('99\n')
  })

  test('one that cannot be written to is refused', async () => {
    using here = place()
    writeFileSync(here.home, 'a file')
    const ended = await here.run(short)
    expect([ended.code, ended.result.error?.code]).toEqual([2, 'home-unusable'])
  })

  test('one where nobody can make a folder is refused, and does not hang', async () => {
    expect(() => openHome('/proc/nobody-makes-a-folder-here')).toThrow(
      expect.objectContaining({ problems: [expect.objectContaining({ code: 'home-unusable' })] }),
    )
  })

  test('a fault of the program itself is one line, with the log that it names', async () => {
    using here = place()
    mkdirSync(join(here.home, 'blocks'), { recursive: true })
    writeFileSync(join(here.home, 'blocks/blocks'), 'where a directory should be')
    const ended = await here.run(short)
    expect([ended.code, ended.result.error?.code]).toEqual([1, 'internal'])
    const log = / log: (.+)$/.exec(ended.result.error?.message ?? '')?.[1] ?? ''
    expect(readFileSync(log, 'utf8')).toContain('the run broke off')
    expect(ended.stderr.trimEnd().split('\n')).toHaveLength(2)
    here.clean(ended)
  })

  test('a damaged key is refused, not replaced', async () => {
    using here = place()
    mkdirSync(here.home)
    writeFileSync(join(here.home, 'identity'), 'nonsense')
    chmodSync(join(here.home, 'identity'), 0o600)
    const ended = await here.run(short)
    expect([ended.code, ended.result.error?.code]).toEqual([2, 'identity-invalid'])
    expect(readFileSync(join(here.home, 'identity'), 'utf8')).toBe('nonsense')
  })
})
