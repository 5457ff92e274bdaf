import { createHash } from 'node:crypto'
import { publisherConformance, sourceConformance } from '@skrei/storage/conformance'
import { cidOf, scratch } from './scratch.ts'

// Blocks that nobody holds, of the two codecs that a tree is made of.
const absentFile = 'bafkreiacndfy443ter6qr2tmbbdhadvxxheowwf75s6zehscklu6ezxmta'
const absentDirectory = 'bafybeigmix7t42i6jacydtquhet7srwvgpizfg7gjbq7627d35mjomtu64'

const harness = async () => {
  const directory = await scratch()
  const storage = await directory.storage()
  const publish = async (files: Readonly<Record<string, Uint8Array>>) => {
    const path = await directory.make(files)
    return cidOf(await storage.publisher.publish(path, path, {}))
  }
  return { directory, storage, publish }
}

sourceConformance({
  name: 'ipfs',
  create: async () => {
    const { directory, storage, publish } = await harness()
    return {
      source: storage.source,
      putFile: async (bytes) => {
        for await (const entry of storage.source.list({ type: 'ipfs', cid: await publish({ file: bytes }) })) return entry.source
        throw new Error('nothing was published')
      },
      putFiles: async (files) => ({ type: 'ipfs', cid: await publish(files) }),
      [Symbol.asyncDispose]: () => directory[Symbol.asyncDispose](),
    }
  },
  failing: [
    { name: 'a file that is not held', code: 'source-not-found', source: () => ({ type: 'ipfs', cid: absentFile }) },
    { name: 'a directory that is not held', code: 'source-not-found', source: () => ({ type: 'ipfs', cid: absentDirectory }) },
    { name: 'no CID', code: 'source-invalid', source: () => ({ type: 'ipfs', cid: '../../etc/passwd' }) },
    {
      name: 'a CID of another codec',
      code: 'source-invalid',
      source: () => ({ type: 'ipfs', cid: 'bafyreigaknpexyvxt76zgkitavbwx6ejgfheup5oybpm77f3pxzrvwpfdi' }),
    },
    // sha1
    {
      name: 'a hash function that is not read',
      code: 'source-invalid',
      source: () => ({ type: 'ipfs', cid: `f015511${'14'}${createHash('sha1').update('x').digest('hex')}` }),
    },
  ],
})

publisherConformance({
  name: 'ipfs',
  create: async () => {
    const { directory, storage } = await harness()
    return { publisher: storage.publisher, [Symbol.asyncDispose]: () => directory[Symbol.asyncDispose]() }
  },
  forged: [
    { type: 'ipfs', cid: absentDirectory },
    { type: 'ipfs', cid: absentFile },
    { type: 'ipfs', cid: 'not a cid' },
    { type: 'ipfs' },
    { type: 'local', path: '/etc' },
  ],
})
