import { spawn } from 'node:child_process'
import { createCipheriv } from 'node:crypto'
import { once } from 'node:events'
import { join } from 'node:path'
import { text } from 'node:stream/consumers'
import { fileURLToPath } from 'node:url'
import { expect, test } from 'vitest'
import { asFound, cidOf, fetched, scratch } from './scratch.ts'

const index = fileURLToPath(new URL('../src/index.ts', import.meta.url))
const program = `
  import { ipfsStorage } from ${JSON.stringify(index)}
  const [directory, id, path] = process.argv.slice(1)
  const storage = ipfsStorage({ directory })
  await storage.start()
  console.error('started')
  console.log((await storage.publisher.publish(id, path, {})).cid)
`

test('processes share a directory, and one that is killed while it publishes harms nobody', async () => {
  await using tools = await scratch()
  const store = join(tools.path, 'store')
  const content = createCipheriv('chacha20', Buffer.alloc(32), Buffer.alloc(16)).update(Buffer.alloc(20 * 1024 * 1024))
  const path = await tools.make({ content, ...Object.fromEntries(Array.from({ length: 100 }, (_, number) => [`small/${number}`, `${number}`])) })
  const start = (id: string) =>
    spawn(process.execPath, ['--conditions=@skrei/source', '--input-type=module', '--eval', program, store, id, path], { stdio: ['ignore', 'pipe', 'pipe'] })

  const killed = start('job')
  await once(killed.stderr, 'data')
  killed.kill('SIGKILL')
  await once(killed, 'exit')

  const others = ['job', 'job', 'other'].map(start)
  const cids = await Promise.all(others.map(async (child) => (await text(child.stdout)).trim()))
  const storage = await tools.storage()
  const reference = await storage.publisher.publish('job', path, {})
  expect(cids).toEqual(cids.map(() => cidOf(reference)))
  expect(await fetched(storage, cidOf(reference), tools.fresh())).toMatchObject(asFound({ content, 'small/7': '7' }))
})
