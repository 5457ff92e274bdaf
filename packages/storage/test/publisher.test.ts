import { mkdir, mkdtemp, readdir, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import { type PublisherHarness, publisherConformance } from '../src/conformance.ts'
import { localPublisher } from '../src/local.ts'

const roots = new WeakMap<PublisherHarness, string>()

publisherConformance({
  name: 'local',
  create: async () => {
    const directory = await mkdtemp(join(tmpdir(), 'skrei-publisher-'))
    const harness: PublisherHarness = {
      publisher: localPublisher({ directory: join(directory, 'published') }),
      [Symbol.asyncDispose]: () => rm(directory, { recursive: true, force: true }),
    }
    roots.set(harness, directory)
    return harness
  },
  forged: async (harness) => {
    const root = roots.get(harness) ?? ''
    await mkdir(join(root, 'secrets'))
    await writeFile(join(root, 'secrets', 'secret'), 'secret')
    // The suite has published `job`: neither what is inside it nor a detour to it is a publication.
    const paths = [
      'secrets',
      'published',
      'published/job/outputs',
      'published/job/../../secrets',
      'published/../published/job',
      'published/missing',
      'published//job',
    ]
    return [
      ...paths.map((path) => ({ type: 'local', path: `${root}/${path}` })),
      { type: 'local', path: '/etc' },
      { type: 'local', path: '..' },
      { type: 'local', path: '' },
      { type: 'local' },
      { type: 'ipfs', cid: 'bafy' },
      { type: 'ipfs', path: join(root, 'published', 'job') },
    ]
  },
})

test('empty directories are published, composed and fetched like others', async () => {
  const root = await mkdtemp(join(tmpdir(), 'skrei-publisher-'))
  try {
    const publisher = localPublisher({ directory: join(root, 'published') })
    await mkdir(join(root, 'made', 'outputs', 'nothing'), { recursive: true })
    const part = await publisher.publish('part', join(root, 'made'), {})
    const whole = await publisher.compose(
      'whole',
      (async function* () {
        yield { path: 'shards/0', content: part }
      })(),
      {},
    )
    await mkdir(join(root, 'fetched'))
    for await (const _bytes of publisher.fetch(whole, join(root, 'fetched'), {}));
    expect((await readdir(join(root, 'fetched'), { recursive: true })).sort()).toEqual(['shards', 'shards/0', 'shards/0/outputs', 'shards/0/outputs/nothing'])
  } finally {
    await rm(root, { recursive: true, force: true })
  }
})
