import { chmod, readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import { toolRunner } from '../src/index.ts'
import { temporaryFolder } from './machine.ts'

const script = async (text: string): Promise<string> => {
  const file = join(await temporaryFolder(), 'tool')
  await writeFile(file, `#!/bin/sh\n${text}\n`)
  await chmod(file, 0o755)
  return file
}
const gone = async (pid: number): Promise<void> => {
  for (;;) {
    // A zombie that nobody has waited for yet has gone as well.
    const state = await readFile(`/proc/${pid}/stat`, 'utf8').catch(() => '')
    if (state === '' || state.includes(') Z ')) return
    await new Promise((resolve) => setTimeout(resolve, 10))
  }
}

test('what a tool writes is its answer, and a failure keeps it with what it said', async () => {
  expect(await toolRunner()(await script('echo one; echo two'), [], {})).toEqual({ status: 'ok', stdout: 'one\ntwo\n' })
  const failed = await toolRunner()(await script('echo half; echo it broke >&2; exit 9'), [], {})
  expect(failed).toEqual({ status: 'failed', stdout: 'half\n', detail: expect.stringMatching(/ended with code 9: it broke$/) })
})

test('a tool that is not there is missing, one that cannot be started has failed', async () => {
  expect(await toolRunner()('skrei-no-such-tool', [], {})).toEqual({ status: 'missing' })
  const file = join(await temporaryFolder(), 'tool')
  await writeFile(file, 'nothing')
  expect((await toolRunner()(file, [], {})).status).toBe('failed')
})

test('a tool that hangs is killed, with what it started', async () => {
  const folder = await temporaryFolder()
  const answer = await toolRunner(500)(await script(`sleep 600 & echo $! > ${folder}/pid; echo half; wait`), [], {})
  expect(answer).toEqual({ status: 'failed', stdout: 'half\n', detail: expect.stringContaining('did not end within 500 ms') })
  await gone(Number(await readFile(join(folder, 'pid'), 'utf8')))
})

test('a tool that ended while something that it started holds its output is not waited for longer than the limit', async () => {
  expect((await toolRunner(500)(await script('sleep 600 &\nexit 0'), [], {})).status).toBe('failed')
})

test('a tool that writes without end is killed', async () => {
  const answer = await toolRunner()(await script('exec cat /dev/zero'), [], {})
  expect(answer.status === 'failed' && answer.detail).toMatch(/wrote more than 4194304 bytes/)
})

test('a tool is given where programs are and English, and nothing else of this process', async () => {
  process.env['SKREI_TEST_SECRET'] = 'secret'
  try {
    const answer = await toolRunner()(await script('env'), [], {})
    const names = answer.status === 'ok' ? answer.stdout.split('\n').map((line) => line.split('=')[0]) : []
    expect(names.filter((name) => name !== '').sort()).toEqual(expect.arrayContaining(['LC_ALL', 'PATH']))
    expect(names).not.toContain('SKREI_TEST_SECRET')
    expect(names).not.toContain('HOME')
  } finally {
    delete process.env['SKREI_TEST_SECRET']
  }
})

test('an aborted signal kills the tool and rejects', async () => {
  const controller = new AbortController()
  const folder = await temporaryFolder()
  const answer = toolRunner()(await script(`echo $$ > ${folder}/pid; exec sleep 600`), [], { signal: controller.signal })
  const pid = async (): Promise<number> => Number(await readFile(join(folder, 'pid'), 'utf8').catch(() => ''))
  while ((await pid()) === 0) await new Promise((resolve) => setTimeout(resolve, 10))
  controller.abort(new Error('given up'))
  await expect(answer).rejects.toThrow('given up')
  await gone(await pid())
})
