import { mkdir, mkdtemp, readdir, rename, rm, symlink, truncate, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import fc from 'fast-check'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { bridgeName, containerName } from '../src/container-name.ts'
import { credentialsFor } from '../src/credentials.ts'
import { isCovered, isDomain } from '../src/domains.ts'
import type { EngineCounters, EngineOutput } from '../src/engine-client.ts'
import { evidence } from '../src/evidence.ts'
import { frames, pieces } from '../src/frames.ts'
import { parseImageReference } from '../src/image-reference.ts'
import { jsonLines } from '../src/json-lines.ts'
import { written } from '../src/log-lines.ts'
import { goOn } from '../src/output.ts'
import { checkOutputs, empty, watchOutputs } from '../src/outputs.ts'

async function* from<T>(...values: readonly T[]): AsyncGenerator<T> {
  yield* values
}
const bytes = (text: string): Buffer => Buffer.from(text, 'latin1')
const frame = (stream: 1 | 2, text: string): Buffer => {
  const header = Buffer.alloc(8)
  header[0] = stream
  header.writeUInt32BE(text.length, 4)
  return Buffer.concat([header, bytes(text)])
}
const texts = async (output: AsyncIterable<EngineOutput>): Promise<Readonly<Record<string, string>>> => {
  const told: Record<string, string> = { stdout: '', stderr: '' }
  for await (const one of output) told[one.stream] += Buffer.from(one.bytes).toString('latin1')
  return told
}

let root = ''
beforeEach(async () => {
  root = await mkdtemp(join(tmpdir(), 'skrei-parts-'))
})
afterEach(() => rm(root, { recursive: true }))

describe('the frames of the engine', () => {
  test('give the same output however they are cut', async () => {
    const whole = Buffer.concat([frame(1, 'one'), frame(2, ''), frame(2, 'two'), frame(1, 'three'.repeat(100))])
    await fc.assert(
      fc.asyncProperty(fc.array(fc.nat(whole.length)), async (cuts) => {
        const at = [0, ...cuts.toSorted((a, b) => a - b), whole.length]
        const chunks = at.slice(1).map((end, index) => whole.subarray(at[index], end))
        const wanted = { stdout: `one${'three'.repeat(100)}`, stderr: 'two' }
        expect(await texts(pieces(from(...chunks)))).toEqual(wanted)
        expect(await texts(frames(from(...chunks)))).toEqual(wanted)
      }),
    )
  })
  test('that are none are refused, and so is a log message without end', async () => {
    await expect(texts(pieces(from(bytes('not a frame at all'))))).rejects.toThrow('not in its frames')
    await expect(texts(frames(from(Buffer.from([1, 0, 0, 0, 255, 255, 255, 255]))))).rejects.toThrow('4294967295 bytes')
  })
})

describe('what was written, out of the log', () => {
  const message = (time: number, text: string, stream: EngineOutput['stream'] = 'stdout'): EngineOutput => ({
    stream,
    bytes: bytes(`2026-11-30T00:00:00.${String(time).padStart(9, '0')}Z ${text}`),
  })
  const long = 'x'.repeat(16_384)
  test.each([
    ['lines', [message(1, 'a\n'), message(2, 'b\n')], 'a\nb\n'],
    ['a last line without newline', [message(1, 'a\n'), message(2, 'b')], 'a\nb'],
    ['a long line whose newline the engine dropped', [message(1, long), message(1, 'y'), message(2, 'b')], `${long}y\nb`],
    ['a long line whose newline the engine kept', [message(1, long), message(1, 'y\n'), message(2, 'b\n')], `${long}y\nb\n`],
    ['a line of exactly one message', [message(1, long), message(1, ''), message(2, 'b\n')], `${long}\nb\n`],
    ['a long last line', [message(1, long), message(1, 'y')], `${long}y\n`],
    ['empty lines', [message(1, '\n'), message(2, '\n')], '\n\n'],
  ])('%s', async (_, messages, wanted) => {
    expect((await texts(written(from(...messages))))['stdout']).toBe(wanted)
  })
  test('streams do not mix', async () => {
    expect(await texts(written(from(message(1, long), message(2, 'e\n', 'stderr'), message(1, 'y\n'))))).toEqual({ stdout: `${long}y\n`, stderr: 'e\n' })
  })
})

describe('going on with output', () => {
  const record = async (already: string) => {
    await writeFile(join(root, 'stdout'), already)
    const told: string[] = []
    const execution = {
      written: (stream: string) => (stream === 'stdout' ? already.length : 0),
      write: (_: string, more: Uint8Array) => void told.push(Buffer.from(more).toString()),
    }
    return { told, execution }
  }
  const kept = (...parts: readonly string[]) => from(...parts.map((part): EngineOutput => ({ stream: 'stdout', bytes: bytes(part) })))
  const path = (stream: string) => join(root, stream)

  test('leaves out what is on record, in the middle of a piece too', async () => {
    const { told, execution } = await record('abcd')
    expect([...(await goOn(execution, kept('ab', 'cde', 'f'), path))]).toEqual([])
    expect(told.join('')).toBe('ef')
  })
  test('puts nothing where it does not belong: the engine has lost the beginning, or more', async () => {
    for (const parts of [['cdef'], ['abc']]) {
      const { told, execution } = await record('abcd')
      expect([...(await goOn(execution, kept(...parts), path))]).toEqual(['stdout'])
      expect(told).toEqual([])
    }
  })
})

test('lines of JSON are read however they are cut; what is none, or has no end, is the error of the engine', async () => {
  const all = async (...chunks: readonly string[]) => {
    const values: unknown[] = []
    for await (const value of jsonLines(from(...chunks.map(bytes)))) values.push(value)
    return values
  }
  expect(await all('{"a":1}\r\n{"b"', ':2}\n\n{"c":3}')).toEqual([{ a: 1 }, { b: 2 }, { c: 3 }])
  await expect(all('nonsense\n')).rejects.toThrow('not JSON')
  await expect(all('x'.repeat(1 << 20), 'x')).rejects.toThrow('does not end')
})

test.each([
  ['busybox', 'docker.io/library/busybox:latest'],
  ['team/image:1.2', 'docker.io/team/image:1.2'],
  ['docker.io/busybox', 'docker.io/library/busybox:latest'],
  ['localhost/x', 'localhost/x:latest'],
  ['127.0.0.1:5000/a/b:c', '127.0.0.1:5000/a/b:c'],
  [`ghcr.io/a/b@sha256:${'a'.repeat(64)}`, `ghcr.io/a/b@sha256:${'a'.repeat(64)}`],
  [`ghcr.io/a/b:1@sha256:${'a'.repeat(64)}`, `ghcr.io/a/b:1@sha256:${'a'.repeat(64)}`],
])('the image %s is %s', (text, full) => {
  expect(parseImageReference(text)?.full).toBe(full)
})
test.each([
  '',
  'Upper',
  'a b',
  '/x',
  'x/',
  'a//b',
  'a:',
  'a:b:c',
  'x@sha256:short',
  `x@md5:${'a'.repeat(64)}`,
  '../x',
  'x?y',
  'x#y',
  'a@b@c',
  '-x',
  'x'.repeat(600),
])('%j is no image', (text) => {
  expect(parseImageReference(text)).toBeUndefined()
})
test('a name of an image is read in no time, whatever it is', () => {
  fc.assert(fc.property(fc.string({ maxLength: 600 }), (text) => void parseImageReference(text)))
  const began = performance.now()
  for (const text of [`${'a-'.repeat(250)}!`, `${'a_'.repeat(250)}!`, `${'a.'.repeat(250)}/${'a-'.repeat(100)}`]) parseImageReference(text)
  expect(performance.now() - began).toBeLessThan(1000)
})

test('every id has a name of its own that an engine takes, and its bridge one that the system takes', () => {
  fc.assert(
    fc.property(fc.string({ minLength: 1 }), fc.string({ minLength: 1 }), (one, other) => {
      const [a, b] = [containerName('skrei', one), containerName('skrei', other)]
      expect(a).toMatch(/^[A-Za-z0-9][A-Za-z0-9_.-]+$/)
      expect(bridgeName(a)).toMatch(/^skrei[0-9a-f]{10}$/)
      expect(a === b).toBe(one === other)
    }),
  )
})

test('domains: a name is itself, a star what is below it', () => {
  const allowed = ['example.org', '*.example.net']
  expect(['example.org', 'EXAMPLE.ORG.', 'a.example.net', 'a.b.example.net'].map((host) => isDomain(host, allowed))).toEqual([true, true, true, true])
  expect(['a.example.org', 'example.net', 'badexample.net', 'example.org.evil', ''].map((host) => isDomain(host, allowed))).toEqual([
    false,
    false,
    false,
    false,
    false,
  ])
  expect(['example.org', 'x.example.net', '*.example.net', '*.x.example.net'].map((domain) => isCovered(domain, allowed))).toEqual([true, true, true, true])
  expect(['*.example.org', 'example.net', '*.net'].map((domain) => isCovered(domain, allowed))).toEqual([false, false, false])
})

describe('credentials', () => {
  const file = () => join(root, 'config.json')
  const read = async (content: unknown, registry: string) => {
    await writeFile(file(), typeof content === 'string' ? content : JSON.stringify(content))
    return credentialsFor(registry, file())
  }
  test('are those of the registry', async () => {
    const auth = Buffer.from('user:pass:word').toString('base64')
    expect(await read({ auths: { 'r.example:5000': { auth } } }, 'r.example:5000')).toEqual({
      username: 'user',
      password: 'pass:word',
      serveraddress: 'r.example:5000',
    })
    expect(await read({ auths: { 'https://index.docker.io/v1/': { identitytoken: 't' } } }, 'docker.io')).toEqual({
      identitytoken: 't',
      serveraddress: 'https://index.docker.io/v1/',
    })
    expect(await read({ auths: { 'r.example': { auth } } }, 'other.example')).toBeUndefined()
    expect(await read('{"auths":{"__proto__":{"auth":"x"}}}', 'constructor')).toBeUndefined()
  })
  test('that are left to a program, or are none, are an error that does not show them', async () => {
    await expect(read({ credsStore: 'desktop' }, 'r.example')).rejects.toThrow('helper program')
    await expect(read({ auths: { 'r.example': { auth: 'secret' } } }, 'r.example')).rejects.toThrow(/^(?!.*secret)/)
    await expect(read('{"secret": nonsense', 'r.example')).rejects.toThrow(/^(?!.*nonsense)/)
    await expect(credentialsFor('r.example', join(root, 'nowhere'))).rejects.toThrow('ENOENT')
  })
})

describe('outputs', () => {
  const bounds = { resources: { cpu: 1, memory: 1, disk: 1000, gpu: { count: 0 } }, limits: { stdout: 0, stderr: 0, files: 3 } }
  test('are counted in all their directories; too much of them is spoiled, and emptied', async () => {
    await mkdir(join(root, 'a'))
    await writeFile(join(root, 'a', 'b'), 'x'.repeat(600))
    expect(await checkOutputs([root], bounds)).toEqual({ bytes: 600, isSpoiled: false })
    await writeFile(join(root, 'c'), 'x'.repeat(401))
    expect(await checkOutputs([root], bounds)).toMatchObject({ failure: { code: 'output-too-large' }, isSpoiled: true })
    await empty([root])
    expect(await readdir(root)).toEqual([])
  })
  test('a hole counts as what a reader gets', async () => {
    await writeFile(join(root, 'hole'), '')
    await truncate(join(root, 'hole'), 10_000)
    expect((await checkOutputs([root], bounds)).failure?.code).toBe('output-too-large')
  })
  test('a link is not followed, and not taken', async () => {
    await mkdir(join(root, 'elsewhere'))
    await mkdir(join(root, 'outputs'))
    await writeFile(join(root, 'elsewhere', 'kept'), 'x'.repeat(5000))
    await symlink(join(root, 'elsewhere'), join(root, 'outputs', 'link'))
    expect((await checkOutputs([join(root, 'outputs')], bounds)).failure).toEqual({ code: 'output-unsafe', detail: 'the outputs hold a symbolic link' })
    expect(await readdir(join(root, 'elsewhere'))).toEqual(['kept'])
  })
  test('count under a name that is not UTF-8 too, which is not taken; and are emptied of it', async () => {
    const odd = Buffer.concat([Buffer.from(`${root}/d`), Buffer.from([0xff])])
    await mkdir(odd)
    await writeFile(Buffer.concat([odd, Buffer.from('/f')]), 'x'.repeat(600))
    expect(await checkOutputs([root], bounds)).toEqual({
      failure: { code: 'output-unsafe', detail: 'the outputs hold a name that is not UTF-8' },
      bytes: 0,
      isSpoiled: true,
    })
    await writeFile(Buffer.concat([odd, Buffer.from([0x2f, 0xfe])]), 'x'.repeat(600))
    expect((await checkOutputs([root], bounds)).failure?.code).toBe('output-too-large')
    await empty([root])
    expect(await readdir(root)).toEqual([])
  })
  test('whose paths are too long end the program, and are not taken', async () => {
    const deep = { ...bounds, limits: { ...bounds.limits, files: 10_000 } }
    const { promise, resolve } = Promise.withResolvers<string>()
    using _ = watchOutputs([root], deep, { interval: 1, reserve: 0 }, ({ code }) => resolve(code))
    // Grown at its top: its end has a path that no call takes.
    const [top, above] = [join(root, 'd'.repeat(200)), join(root, 'above')]
    for (let depth = 0; depth < 25; depth++) {
      await mkdir(above)
      if (depth > 0) await rename(top, join(above, 'd'.repeat(200)))
      await rename(above, top)
    }
    expect(await promise).toBe('output-unsafe')
    expect(await checkOutputs([root], deep)).toEqual({
      failure: { code: 'output-unsafe', detail: 'the outputs hold a path that is too long' },
      bytes: 0,
      isSpoiled: false,
    })
    await empty([root])
    for (let depth = 0; depth < 10; depth++) {
      await rename(join(top, 'd'.repeat(200)), above)
      await rm(top, { recursive: true })
      await rename(above, top)
    }
  })
  test('are watched while they grow', async () => {
    const { promise, resolve } = Promise.withResolvers<string>()
    using _ = watchOutputs([root], bounds, { interval: 1, reserve: 0 }, ({ detail }) => resolve(detail))
    for (const name of ['a', 'b', 'c', 'd']) await writeFile(join(root, name), '')
    expect(await promise).toContain('3 files')
  })
  test('are too much where the disk is nearly full, whoever filled it', async () => {
    const { promise, resolve } = Promise.withResolvers<string>()
    using _ = watchOutputs([root], bounds, { interval: 1, reserve: 2 ** 60 }, ({ code }) => resolve(code))
    expect(await promise).toBe('disk-full')
  })
})

describe('evidence', () => {
  const sampled = (found: { now: () => EngineCounters | undefined; read?: () => EngineCounters | undefined }, elapsed: () => number, interval: number) => {
    const told: { readonly at: number; readonly counters: Readonly<Record<string, number>> }[] = []
    const waiting: (() => void)[] = []
    const counters = { prepare: async () => undefined, now: found.now, read: async () => found.read?.(), [Symbol.dispose]: () => undefined }
    const samples = evidence({
      counters,
      interval,
      elapsed,
      tell: ({ at, counters: now }) => {
        told.push({ at, counters: now })
        for (const wake of waiting.splice(0)) wake()
      },
    })
    const count = async (number: number) => {
      while (told.length < number) await new Promise<void>((resolve) => waiting.push(resolve))
      return told.map((one) => one.counters)
    }
    return { told, samples, count }
  }

  test('counters grow, whatever the engine says; the peak is the highest that was seen where the engine knows none', async () => {
    const found = [{ cpuMs: 5, memory: 100 }, undefined, { cpuMs: 3, memory: 50 }, { cpuMs: 9, memory: 70 }]
    let at = 0
    const { samples, count } = sampled({ now: () => undefined, read: () => found.shift() }, () => at++, 1)
    using _ = samples
    expect(await count(3)).toEqual([
      { cpuMs: 5, memory: 100, memoryPeak: 100 },
      { cpuMs: 5, memory: 50, memoryPeak: 100 },
      { cpuMs: 9, memory: 70, memoryPeak: 100 },
    ])
    expect(samples.usage()).toEqual({ cpuMs: 9, memoryPeak: 100 })
  })

  test('what can be had at once is looked at more often than it is told, and told at the end', async () => {
    const { promise, resolve } = Promise.withResolvers<void>()
    let looks = 0
    let isThere = true
    const { told, samples } = sampled(
      {
        now: () => {
          looks++
          if (looks === 4) resolve()
          return isThere ? { cpuMs: looks } : undefined
        },
      },
      () => looks * 10,
      60_000,
    )
    using _ = samples
    await promise
    isThere = false
    expect(told).toEqual([])
    samples.end()
    samples.end()
    expect(told).toEqual([{ at: 40, counters: { cpuMs: 4 } }])
    expect(samples.usage()).toEqual({ cpuMs: 4 })
  })
})
