import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import * as fc from 'fast-check'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { CliError } from '../src/cli-errors.ts'
import { configLeaves } from '../src/config/config-leaves.ts'
import { type ConfigSources, readConfig } from '../src/config/read-config.ts'

const peer = '/ip4/192.0.2.1/tcp/4001/p2p/12D3KooWRbj1sKQpxyRnxWFvV35CCvxT5gvPeQRkWDvXUQWr76Sc'
let home: string
beforeAll(() => {
  home = mkdtempSync(join(tmpdir(), 'skrei-config-test-'))
})
afterAll(() => rmSync(home, { recursive: true }))

const write = (text: string): string => {
  const file = join(home, 'some.yaml')
  writeFileSync(file, text)
  return file
}
const read = (given: Partial<ConfigSources> = {}) => readConfig({ home, environment: {}, flags: [], ...given })
const problemsOf = (given: Partial<ConfigSources>) => {
  try {
    read(given)
  } catch (error) {
    if (error instanceof CliError) return error.problems
    throw error
  }
  throw new Error('nothing was refused')
}

describe('a configuration', () => {
  test('that says nothing is one of a node on loopback, with both roles', () => {
    expect(read()).toMatchObject({
      network: 'default',
      requester: true,
      compute: true,
      listen: ['/ip4/127.0.0.1/tcp/0'],
      api: { host: '127.0.0.1', port: 1212 },
      ipfs: true,
      drain: 30_000,
    })
    expect(read({ file: write('# nothing\n\n') })).toEqual(read())
  })

  test('is read with quantities and durations as in job files', () => {
    const file = write(`capacity: { cpu: 500m, memory: 4Gi }\ndrain: 1m30s\nsettings: { lease: 20s, bidWindow: 0, drift: 0.2, asks: 5 }\npeers: ["${peer}"]\n`)
    expect(read({ file })).toMatchObject({
      capacity: { cpu: 500, memory: 4 * 1024 ** 3 },
      drain: 90_000,
      settings: { lease: 20_000, bidWindow: 0, drift: 0.2, asks: 5 },
      peers: [peer],
    })
  })

  test('comes from the file, over it the environment, over that the flags', () => {
    const file = write('network: file\nlabels: { a: file, b: file, c: file }\napi: { port: 1, host: localhost }\nlisten: ["/ip4/127.0.0.1/tcp/1"]\n')
    const environment = {
      SKREI_NETWORK: 'environment',
      SKREI_LABELS: 'b=environment,c=environment',
      SKREI_API_PORT: '2',
      SKREI_LISTEN: '/ip4/127.0.0.1/tcp/2, /ip4/127.0.0.1/tcp/3/ws',
      SKREI_IPFS: 'false',
    }
    const flags = [
      { flag: '--api-port', path: ['api', 'port'], value: '3' },
      { flag: '--label', path: ['labels'], value: ['c=flag'] },
      { flag: '--allow-private-addresses', path: ['allow', 'privateAddresses'], value: true as const },
    ]
    expect(read({ file, environment, flags })).toMatchObject({
      network: 'environment',
      labels: { a: 'file', b: 'environment', c: 'flag' },
      api: { port: 3, host: 'localhost' },
      listen: ['/ip4/127.0.0.1/tcp/2', '/ip4/127.0.0.1/tcp/3/ws'],
      ipfs: false,
      allow: { privateAddresses: true },
    })
  })

  test('is found in the home, and by SKREI_CONFIG', () => {
    const own = mkdtempSync(join(tmpdir(), 'skrei-config-test-'))
    try {
      writeFileSync(join(own, 'config.yaml'), 'network: home\n')
      expect(read({ home: own }).network).toBe('home')
      expect(read({ home: own, environment: { SKREI_CONFIG: write('network: variable\n') } }).network).toBe('variable')
    } finally {
      rmSync(own, { recursive: true })
    }
  })

  test('every setting has a variable of its own', () => {
    const variables = configLeaves.map(({ variable }) => variable)
    expect(new Set(variables).size).toBe(variables.length)
    expect(variables).toContain('SKREI_ALLOW_PRIVATE_ADDRESSES')
    expect(variables).toContain('SKREI_SETTINGS_BID_WINDOW')
  })
})

describe('what is wrong is named with its place', () => {
  test.each([
    ['netwrok: a\n', 'unknown-key', 1, 1, 'did you mean `network`?'],
    ['api:\n  prot: 1\n', 'unknown-key', 2, 3, 'did you mean `port`?'],
    ['api: { port: 99999 }\n', 'bad-value', 1, 14, 'at most 65535'],
    ['\nsettings: { leese: 1s }\n', 'unknown-key', 2, 13, 'did you mean `lease`?'],
    ['settings: { lease: 5 }\n', 'bad-duration', 1, 20, 'its unit is missing: `5s` are seconds'],
    ['drain: 30\n', 'bad-duration', 1, 8, 'its unit is missing: `30s` are seconds'],
    ['roles: []\n', 'bad-value', 1, 8, 'at least 1 entry'],
    ['capacity: { memory: lots }\n', 'bad-quantity', 1, 21, 'a quantity'],
    ['listen: [127.0.0.1:4001]\n', 'bad-value', 1, 10, 'such as /ip4/127.0.0.1/tcp/4001'],
    ['peers: [/ip4/192.0.2.1/tcp/4001]\n', 'bad-value', 1, 9, 'with the id of the node at its end'],
    ['allow: { localPaths: [data] }\n', 'bad-value', 1, 23, 'the absolute path of a directory'],
    ['engines: [wsam]\n', 'bad-value', 1, 11, 'did you mean `wasm`?'],
    ['docker: { images: ["a{"] }\n', 'bad-value', 1, 20, 'a pattern of whole image names'],
    ['docker: { domains: ["https://a.example"] }\n', 'bad-value', 1, 21, 'a domain such as'],
    ['docker: { credentialsFile: config.json }\n', 'bad-value', 1, 28, 'the absolute path of a file'],
    ['roles: []\n', 'bad-value', 1, 8, 'at least 1'],
    ['api: { hosts: ["a:1"] }\n', 'bad-value', 1, 16, 'a host name such as'],
    ['api: { origins: ["https://a.example/"] }\n', 'bad-value', 1, 18, 'an origin such as'],
    ['api: { blobBytes: 0 }\n', 'bad-value', 1, 19, 'more than nothing'],
    ['log: { level: loud }\n', 'bad-value', 1, 15, '`debug`, `info`, `warn` or `error`'],
    ['labels: { zone: 1 }\n', 'wrong-type', 1, 17, 'expected text'],
    ['ipfs: yes\n', 'wrong-type', 1, 7, 'expected true or false'],
    ['network: [\n', 'yaml-syntax', 2, 1, 'not YAML'],
  ])('in the file: %j', (text, code, line, column, message) => {
    const file = write(text)
    const [problem] = problemsOf({ file })
    expect(problem).toMatchObject({ code, file, line, column })
    expect(problem?.message).toContain(message)
  })

  test.each([
    ['SKREI_API_PORT', 'high', 'bad-value|wrong-type'],
    ['SKREI_LISTEN', 'localhost', 'bad-value'],
    ['SKREI_LABELS', 'zone', 'config-invalid'],
    ['SKREI_DRAIN', '30', 'bad-duration'],
    ['SKREI_LISTN', '/ip4/127.0.0.1/tcp/0', 'unknown-key'],
    ['SKREI_SETTINGS_LEESE', '1s', 'unknown-key'],
  ])('in the environment: %s=%s', (variable, text, code) => {
    const [problem] = problemsOf({ environment: { [variable]: text } })
    expect(problem?.code).toMatch(new RegExp(`^(${code})$`))
    expect(problem?.message).toContain(variable)
  })

  test('in a flag, though file and environment are right', () => {
    const flags = [{ flag: '--api-port', path: ['api', 'port'], value: '70000' }]
    const [problem] = problemsOf({ file: write('api: { port: 1 }\n'), environment: { SKREI_API_PORT: '2' }, flags })
    expect(problem).toMatchObject({ code: 'bad-value', path: 'api.port', message: expect.stringContaining('--api-port') })
  })

  test('in the environment, though a flag says something right over it', () => {
    const flags = [{ flag: '--api-port', path: ['api', 'port'], value: '1234' }]
    expect(problemsOf({ environment: { SKREI_API_PORT: 'x' }, flags })).toMatchObject([
      { path: 'api.port', message: expect.stringContaining('SKREI_API_PORT') },
    ])
    const both = problemsOf({ environment: { SKREI_API_PORT: 'x' }, flags: [{ flag: '--api-port', path: ['api', 'port'], value: 'y' }] })
    expect(both.map(({ message }) => message.split(':')[0])).toEqual(['SKREI_API_PORT', '--api-port'])
  })

  test('in the file, though environment and flags say something right over it', () => {
    const file = write('api: { port: 99999 }\n')
    expect(problemsOf({ file, environment: { SKREI_API_PORT: '2' } })).toMatchObject([{ path: 'api.port', line: 1 }])
  })

  test('any key that is none of the settings is refused at its line, wherever it stands', () => {
    const known = new Set(configLeaves.flatMap(({ path }) => path))
    const word = fc.stringMatching(/^[a-z][a-zA-Z]{0,15}$/).filter((key) => !known.has(key))
    const parents = fc.constantFrom('', 'api', 'capacity', 'allow', 'publishers', 'log', 'settings')
    fc.assert(
      fc.property(word, parents, fc.nat(5), (key, parent, lines) => {
        const text = `${'# a comment\n'.repeat(lines)}${parent === '' ? `${key}: 1\n` : `${parent}:\n  ${key}: 1\n`}`
        const found = problemsOf({ file: write(text) }).find(({ code }) => code === 'unknown-key')
        expect(found).toMatchObject({ line: lines + (parent === '' ? 1 : 2), column: parent === '' ? 1 : 3, path: parent === '' ? key : `${parent}.${key}` })
        expect(found?.message).toContain(key)
      }),
      { numRuns: 200 },
    )
  })

  test('any setting of a wrong kind is named, from the file and from the environment', () => {
    // Of the settings that are text, no text is of the wrong kind: they are given a mapping, and no text in the environment.
    fc.assert(
      fc.property(fc.constantFrom(...configLeaves), ({ path, variable, kind }) => {
        const [top, inner] = path
        const wrong = kind === 'scalar' ? '{ a: { b: 1 } }' : '1'
        const file = write(inner === undefined ? `${top}: ${wrong}\n` : `${top}: { ${inner}: ${wrong} }\n`)
        expect(problemsOf({ file })[0]?.path).toMatch(new RegExp(`^${path.join('\\.')}`))
        if (kind === 'list' || path[0] === 'settings') expect(problemsOf({ environment: { [variable]: '?' } })[0]?.message).toContain(variable)
      }),
      { numRuns: configLeaves.length * 4 },
    )
  })
})

describe('what makes no sense', () => {
  test('an API that others reach is refused, unless that is said', () => {
    expect(problemsOf({ file: write('api: { host: 0.0.0.0 }\n') })[0]).toMatchObject({ code: 'api-exposed' })
    expect(read({ file: write('api: { host: 0.0.0.0, insecure: true }\n') }).api.host).toBe('0.0.0.0')
    for (const host of ['localhost', '127.0.0.2', '::1']) expect(read({ environment: { SKREI_API_HOST: host } }).api.host).toBe(host)
  })

  test('a compute node without engines, and a heartbeat as long as the lease, are refused', () => {
    expect(problemsOf({ file: write('engines: []\n') })[0]?.message).toContain('engines')
    expect(problemsOf({ file: write('settings: { lease: 1s, heartbeat: 1s }\n') })[0]?.message).toContain('settings.heartbeat')
  })

  test('a file that is named and not there, or no text, is told', () => {
    expect(problemsOf({ file: join(home, 'nowhere.yaml') })[0]).toMatchObject({ code: 'config-unreadable' })
    const file = join(home, 'binary.yaml')
    writeFileSync(file, Buffer.from([0xff, 0xfe, 0x00]))
    expect(problemsOf({ file })[0]).toMatchObject({ code: 'config-unreadable', message: expect.stringContaining('UTF-8') })
  })

  test('variables that are like none of ours are left alone', () => {
    expect(read({ environment: { SKREI_SERVICE_HOST: '10.0.0.1', SKREI_PORT_1212_TCP_ADDR: '10.0.0.1', SKREI_HOME: home } })).toEqual(read())
  })
})
