import type { Reference } from '@skrei/job-spec'
import type { AbortOptions, Publisher } from '@skrei/storage'
import type { CID } from 'multiformats/cid'
import { storeComposition } from './composition.ts'
import { parseCid } from './dag-node.ts'
import { fetchTree } from './directory-fetch.ts'
import { storeTree } from './directory-publish.ts'
import { fileContent, loadFile } from './file-content.ts'
import { IpfsError } from './ipfs-error.ts'
import type { OpenOperation } from './open-operation.ts'
import type { Publications } from './publications.ts'
import type { Stored } from './stored.ts'
import { readTree } from './tree-read.ts'

/** Entries of a composition that are stored at the same time. */
const entriesAhead = 16

interface IpfsPublisherParts {
  readonly open: OpenOperation
  readonly published: Publications
  readonly maxEntries: number
  readonly maxFetchBytes: number
}

const rootOf = (reference: Reference): CID => {
  if (reference.type !== 'ipfs' || reference.cid === undefined)
    throw new IpfsError('entry-invalid', `expected a reference of type ipfs with a cid, got one of type ${reference.type}`)
  return parseCid(reference.cid)
}

export const ipfsPublisher = ({ open, published, maxEntries, maxFetchBytes }: IpfsPublisherParts): Publisher => {
  /** Once recorded, an id keeps its reference; until then, storing again writes the same blocks. */
  const once = async (id: string, signal: AbortSignal, store: () => Promise<Stored>): Promise<Reference> => {
    const earlier = await published.find(id)
    if (earlier !== undefined) return { type: 'ipfs', cid: earlier }
    const { cid } = await store()
    signal.throwIfAborted()
    return { type: 'ipfs', cid: await published.record(id, cid.toString()) }
  }

  async function* contentOf(cid: CID, size: number, options: AbortOptions & { readonly from?: number } = {}): AsyncGenerator<Uint8Array, void, undefined> {
    const { signal, node, blocks } = open(options)
    const reading = { blockstore: blocks, signal, blocksAhead: node.blocksAhead, from: options.from ?? 0 }
    yield* fileContent(await loadFile(blocks, cid, size, signal), reading)
  }

  return {
    type: 'ipfs',

    publish: async (id, directory, options) => {
      const { signal, node } = open(options)
      return once(id, signal, () => storeTree(directory, maxEntries, { node, signal }))
    },

    compose: async (id, entries, options) => {
      const { signal, node, blocks } = open(options)
      return once(id, signal, () => storeComposition(entries, { node, signal, blocks, maxEntries, entriesAhead }))
    },

    fetch: async function* (reference, into, options) {
      const { signal, node, blocks } = open(options)
      yield* fetchTree(rootOf(reference), into, { blockstore: blocks, blocksAhead: node.blocksAhead, signal, maxEntries, maxFetchBytes })
    },

    read: async function* (reference, options) {
      const { signal, blocks } = open(options)
      const root = rootOf(reference)
      for await (const { path, cid, size } of readTree(blocks, root, options.path, { maxEntries, signal }))
        yield { path, size, content: (given) => contentOf(cid, size, given) }
    },

    unpublish: async (id, options) => {
      open(options)
      await published.forget(id)
    },
  }
}
