import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { publisherConformance } from '../src/conformance.ts'
import { localPublisher } from '../src/local.ts'

publisherConformance({
  name: 'local',
  create: async () => {
    const directory = await mkdtemp(join(tmpdir(), 'skrei-publisher-'))
    return { publisher: localPublisher({ directory: join(directory, 'published') }), [Symbol.asyncDispose]: () => rm(directory, { recursive: true, force: true }) }
  },
  forged: [{ type: 'local', path: '/etc' }, { type: 'local', path: '..' }, { type: 'local', path: '' }, { type: 'local' }, { type: 'ipfs', cid: 'bafy' }],
})
