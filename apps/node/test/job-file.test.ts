import { execFileSync } from 'node:child_process'
import { mkdirSync, symlinkSync, truncateSync, writeFileSync } from 'node:fs'
import { createServer } from 'node:net'
import { join } from 'node:path'
import { describe, expect, test } from 'vitest'
import { type Place, place } from './command-line.ts'

// Whatever is named as a job file, `run` and `validate` end at once and with a code: nothing is waited for, nothing read without end.

interface Case {
  /** Makes what is then given as FILE. */
  readonly make: (here: Place, path: string) => void
  readonly file?: string
  readonly code: string
  readonly message: RegExp
}

const cases: Readonly<Record<string, Case>> = {
  'a pipe that nobody writes to': { make: (_, path) => void execFileSync('mkfifo', [path]), code: 'file-not-regular', message: /a pipe/ },
  'a link to such a pipe': {
    make: (here, path) => {
      execFileSync('mkfifo', [join(here.jobs, 'pipe')])
      symlinkSync('pipe', path)
    },
    code: 'file-not-regular',
    message: /a pipe/,
  },
  'a device without end': { make: () => {}, file: '/dev/zero', code: 'file-not-regular', message: /a device/ },
  'a directory': { make: (_, path) => void mkdirSync(path), code: 'file-unreadable', message: /is a directory/ },
  'a file of a tebibyte': {
    make: (here) => truncateSync(here.write('job', ''), 2 ** 40),
    code: 'file-unreadable',
    message: /larger than a job file may be \(1048576 bytes\)/,
  },
  'a file of one byte too many': {
    make: (here) => void here.write('job', `#${'x'.repeat(2 ** 20)}`),
    code: 'file-unreadable',
    message: /larger than a job file may be/,
  },
  'a file that is not UTF-8': {
    make: (_, path) => writeFileSync(path, Buffer.from('apiVersion: skrei/v1\nname: "caf\xe9"\n', 'latin1')),
    code: 'file-unreadable',
    message: /is not UTF-8: byte 32, in line 2, is 0xe9/,
  },
  'no file at all': { make: () => {}, code: 'file-not-found', message: /there is no file/ },
}

const isRefused = async (here: Place, file: string, code: string, message: RegExp): Promise<void> => {
  for (const args of [
    ['validate', file],
    ['run', file],
    ['run', '--plan', file],
  ]) {
    const ended = await here.skrei(...args)
    expect(ended, args.join(' ')).toMatchObject({ code: 2, stdout: '' })
    expect(ended.stderr).toMatch(new RegExp(`^error ${file}: ${code}: `))
    expect(ended.stderr).toMatch(message)
  }
}

describe.concurrent('what is named as a job file and is none', () => {
  test.for(Object.entries(cases))('%s', async ([, { make, file = 'job', code, message }]) => {
    using here = place()
    make(here, join(here.jobs, 'job'))
    await isRefused(here, file, code, message)
  })

  test('a socket', async () => {
    using here = place()
    const server = createServer()
    await new Promise<void>((resolve) => server.listen(join(here.jobs, 'job'), resolve))
    try {
      await isRefused(here, 'job', 'file-not-regular', /a socket/)
    } finally {
      server.close()
    }
  })

  test('standard input of more than a job file may have', async () => {
    using here = place()
    const { code, result } = await here.run('', { input: 'x'.repeat(2 ** 21) })
    expect({ code, error: result.error }).toMatchObject({
      code: 2,
      error: { code: 'file-unreadable', message: expect.stringMatching(/^<stdin> is larger than/) },
    })
  })
})
