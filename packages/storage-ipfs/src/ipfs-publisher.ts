import type { Reference } from '@skrei/job-spec'
import type { Publisher } from '@skrei/storage'
import { storeComposition } from './composition.ts'
import { parseCid } from './dag-node.ts'
import { fetchTree } from './directory-fetch.ts'
import { storeTree } from './directory-publish.ts'
import { IpfsError } from './ipfs-error.ts'
import type { OpenOperation } from './open-operation.ts'
import type { Publications } from './publications.ts'
import type { Stored } from './stored.ts'

interface IpfsPublisherParts {
  readonly open: OpenOperation
  readonly published: Publications
  readonly maxEntries: number
  readonly maxFetchBytes: number
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

  return {
    type: 'ipfs',

    publish: async (id, directory, options) => {
      const { signal, node } = open(options)
      return once(id, signal, () => storeTree(directory, maxEntries, { node, signal }))
    },

    compose: async (id, entries, options) => {
      const { signal, node } = open(options)
      return once(id, signal, () => storeComposition(entries, maxEntries, { node, signal }))
    },

    fetch: async function* (reference, into, options) {
      const { signal, node } = open(options)
      if (reference.type !== 'ipfs' || reference.cid === undefined)
        throw new IpfsError('entry-invalid', `expected a reference of type ipfs with a cid, got one of type ${reference.type}`)
      yield* fetchTree(parseCid(reference.cid), into, { blockstore: node.helia.blockstore, signal, maxEntries, maxFetchBytes })
    },

    unpublish: async (id, options) => {
      open(options)
      await published.forget(id)
    },
  }
}
