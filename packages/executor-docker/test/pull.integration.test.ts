import { mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { RunEvent, RunExit } from '@skrei/executor'
import { taskFor } from '@skrei/executor/conformance'
import type { DockerEngineSpec } from '@skrei/job-spec'
import { afterEach, beforeAll, beforeEach, expect, test } from 'vitest'
import { type DockerExecutor, type DockerOptions, dockerExecutor } from '../src/index.ts'
import { docker, namespace, withEngine } from './docker-engine.ts'
import { type BuiltImage, buildImage, type TestRegistry, testRegistry } from './test-registry.ts'

let root = ''
let registry: TestRegistry
let executor: DockerExecutor
let [first, second, large]: readonly (BuiltImage | undefined)[] = []

const built = (one: BuiltImage | undefined): BuiltImage => {
  if (one === undefined) throw new Error('not built')
  return one
}

withEngine('pulling from a registry', () => {
  beforeAll(async () => {
    first = await buildImage('first')
    second = await buildImage('second')
    large = await buildImage('large', 8 << 20)
  })
  beforeEach(async () => {
    root = await mkdtemp(join(tmpdir(), 'skrei-pull-'))
    registry = await testRegistry()
    registry.tags.set('team/image:1', built(first))
  })
  afterEach(async () => {
    for await (const id of executor.leftovers()) await executor.remove(id)
    await executor[Symbol.asyncDispose]()
    await registry[Symbol.asyncDispose]()
    const images = await docker('image', 'ls', '--quiet', '--filter', `reference=${registry.host}/*/*`)
    if (images !== '') await docker('image', 'rm', '--force', ...new Set(images.split('\n')))
    await rm(root, { recursive: true })
  })

  const open = (images: DockerOptions['images'] = {}): void => {
    executor = dockerExecutor({ directory: join(root, 'state'), namespace: namespace(), images: { privateRegistries: true, ...images } })
  }
  const spec = (name: string, pull?: DockerEngineSpec['pull']): DockerEngineSpec => ({
    type: 'docker',
    image: `${registry.host}/${name}`,
    ...(pull && { pull }),
  })
  const run = async (engine: DockerEngineSpec, id = 'one'): Promise<{ stdout: string; exit: RunExit; events: readonly RunEvent[] }> => {
    let stdout = ''
    const events: RunEvent[] = []
    const request = { id, task: taskFor(engine), seed: new Uint8Array(32), mounts: [], files: {}, env: {}, devices: [], from: { stdout: 0, stderr: 0 } }
    for await (const event of executor.run(request, {})) {
      events.push(event)
      if (event.type === 'output') stdout += Buffer.from(event.bytes).toString()
      if (event.type === 'exit') return { stdout, exit: event, events }
    }
    throw new Error('no exit')
  }
  const codes = async (engine: DockerEngineSpec) => (await executor.assess(taskFor(engine))).map(({ code }) => code)

  test('an image that is not here is pulled in a phase of its own, with progress, and what ran is named by its digest', async () => {
    registry.tags.set('team/image:large', built(large))
    open()
    expect(await codes(spec('team/image:large'))).toEqual([])
    const { stdout, exit, events } = await run(spec('team/image:large'))
    expect(stdout).toBe('large\n')
    expect(exit.facts['imageDigest']).toBe(`${registry.host}/team/image@${built(large).digest}`)
    const phases = events.flatMap((event) => (event.type === 'progress' ? [event] : []))
    expect([...new Set(phases.map(({ phase }) => phase))]).toEqual(['pull', 'start', 'run'])
    const pulls = phases.filter(({ phase }) => phase === 'pull')
    const total = [...built(large).blobs.values()].find((blob) => blob[0] === 0x1f)?.length
    expect(pulls.at(-1)).toMatchObject({ done: total, total })
    // It is here now.
    const before = registry.asked.length
    expect((await run(spec('team/image:large'), 'two')).stdout).toBe('large\n')
    expect(registry.asked.length).toBe(before)
  })

  test('an image can be named by its digest', async () => {
    open()
    const { stdout, exit } = await run(spec(`team/image@${built(first).digest}`))
    expect([stdout, exit.facts['imageDigest']]).toEqual(['first\n', `${registry.host}/team/image@${built(first).digest}`])
  })

  test('what the registry does not have is refused before the bid, and fails as not found', async () => {
    open()
    expect(await codes(spec('team/image:2'))).toEqual(['image-missing'])
    expect(await codes(spec('team/other:1'))).toEqual(['image-missing'])
    expect((await run(spec('team/image:2'))).exit.failure?.code).toBe('source-not-found')
  })

  test('policy: never pulls nothing, missing keeps what is here, always takes what is new', async () => {
    open()
    expect(await codes(spec('team/image:1', 'never'))).toEqual(['image-missing'])
    expect((await run(spec('team/image:1', 'never'))).exit.failure?.code).toBe('source-not-found')
    expect(registry.asked).toEqual([])
    expect((await run(spec('team/image:1'), 'two')).stdout).toBe('first\n')
    registry.tags.set('team/image:1', built(second))
    expect((await run(spec('team/image:1', 'missing'), 'three')).stdout).toBe('first\n')
    expect((await run(spec('team/image:1', 'never'), 'four')).stdout).toBe('first\n')
    expect((await run(spec('team/image:1', 'always'), 'five')).stdout).toBe('second\n')
  })

  test('a node that pulls nothing says so', async () => {
    open({ pull: false })
    expect(await codes(spec('team/image:1'))).toEqual(['image-missing'])
    expect(await codes(spec('team/image:1', 'always'))).toEqual(['policy'])
    expect(registry.asked).toEqual([])
  })

  test('a registry that is not public is not spoken to, whatever a job asks, unless the node allows it', async () => {
    open({ privateRegistries: false })
    expect(await codes(spec('team/image:1'))).toEqual(['policy'])
    expect(await codes({ type: 'docker', image: registry.host.replace('127.0.0.1', 'localhost').concat('/team/image:1'), pull: 'always' })).toEqual(['policy'])
    expect((await run(spec('team/image:1'))).exit.failure?.code).toBe('task-invalid')
    expect(registry.asked).toEqual([])
  })

  test('only images that a pattern allows may run, whether they are here or not', async () => {
    const allow = [`${registry.host}/team/*`, 'docker.io/library/busybox:1.*']
    open({ allow })
    expect(await codes(spec('team/image:1'))).toEqual([])
    expect(await codes(spec('other/image:1'))).toEqual(['policy'])
    expect(await codes(spec('team/deeper/image:1'))).toEqual(['policy'])
    expect((await run(spec('other/image:1'))).exit.failure?.code).toBe('task-invalid')
    expect(registry.asked.filter((path) => path.includes('other'))).toEqual([])
  })

  test('credentials come from a file, are sent to their registry only, and are written nowhere', async () => {
    registry.credentials = 'reader:the secret'
    const credentialsFile = join(root, 'config.json')
    const auth = (text: string) => JSON.stringify({ auths: { [registry.host]: { auth: Buffer.from(text).toString('base64') } } })
    await writeFile(credentialsFile, auth('reader:wrong'))
    open({ credentialsFile })
    expect((await run(spec('team/image:1'))).exit.failure?.code).toBe('source-refused')
    expect(await codes(spec('team/image:1'))).toEqual(['image-missing'])
    // The file is read anew.
    await writeFile(credentialsFile, auth('reader:the secret'))
    expect((await run(spec('team/image:1'), 'two')).stdout).toBe('first\n')
    for (const name of await readdir(join(root, 'state'), { recursive: true, withFileTypes: true }))
      if (name.isFile()) expect(await readFile(join(name.parentPath, name.name), 'utf8')).not.toMatch(/the secret|cmVhZGVy/)
  })

  test('a pull that does not come to an end is given up', async () => {
    registry.tags.set('team/image:large', built(large))
    registry.layers = 'half'
    open({ timeout: 1500 })
    const { exit } = await run(spec('team/image:large'))
    expect(exit.failure).toMatchObject({ code: 'source-timeout', detail: expect.stringContaining('1500 ms') })
  })

  test('a pull that is stopped in the middle is over', async () => {
    registry.tags.set('team/image:large', built(large))
    registry.layers = 'half'
    open()
    const running = run(spec('team/image:large'))
    while (!registry.asked.some((path) => path.includes('/blobs/'))) await new Promise((resolve) => setTimeout(resolve, 10))
    await executor.stop('one')
    expect((await running).exit.failure?.code).toBe('cancelled')
  })

  test('layers that are not what their digest says fail the pull, though the engine answers 200', async () => {
    registry.layers = 'wrong'
    open()
    const { exit } = await run(spec('team/image:1'))
    expect(exit.failure?.code).toMatch(/^source-/)
    expect(exit.failure?.detail).toContain(`${registry.host}/team/image:1`)
  })

  test('a registry that is not there is no final refusal', async () => {
    open()
    const gone = spec('team/image:1')
    await registry[Symbol.asyncDispose]()
    expect(await codes(gone)).toEqual(['assess-failed'])
    expect((await run(gone)).exit.failure?.code).toBe('source-unreachable')
  })
})
