import { createCipheriv } from 'node:crypto'
import { CID } from 'multiformats/cid'
import { expect, test } from 'vitest'
import { chunkBytes } from '../src/cid-profile.ts'
import { embedHelia } from '../src/helia-node.ts'
import { storeDirectory, type WritingOptions } from '../src/tree-build.ts'
import { cidOf, scratch, sha256 } from './scratch.ts'

// Expected CIDs of "kubo": its test/cli/cid_profiles_test.go, profile unixfs-v1-2025, with the same seeded content (ChaCha20 keyed by SHA-256 of the seed).
// Expected CIDs of "boxo": computed with boxo 0.43 `io.NewDirectory`, CIDv1, SizeEstimationBlock, entries `entry-%06d` that are raw blocks "x" or empty directories.

function* seeded(bytes: number, seed: string): Generator<Buffer, void, undefined> {
  const cipher = createCipheriv('chacha20', sha256(Buffer.from(seed)), Buffer.alloc(16))
  const zeros = Buffer.alloc(chunkBytes)
  for (let left = bytes; left > 0; left -= chunkBytes) yield cipher.update(zeros.subarray(0, Math.min(left, chunkBytes)))
}
const seededBytes = (bytes: number, seed: string): Buffer => Buffer.concat([...seeded(bytes, seed)])

const alphabet = 'abcdefghijklmnopqrstuvwxyz01234567890-_'
const seededNames = (count: number, length: number, lastLength: number, seed: string): string[] => {
  const stream = seededBytes(chunkBytes, seed)
  return Array.from({ length: count }, (_, index) =>
    [...stream.subarray(index * length, index * length + (index === count - 1 ? lastLength : length))].map((byte) => alphabet[byte % alphabet.length]).join(''),
  )
}

const forgetting: WritingOptions = {
  node: embedHelia(
    {
      get: function* () {},
      has: () => false,
      put: (cid) => cid,
    },
    4,
  ),
  signal: new AbortController().signal,
  write: (begin) => begin(),
}
const storeFile = async (content: Iterable<Uint8Array>): Promise<string> => (await forgetting.node.addFile(content, forgetting.signal)).cid.toString()

const single = (content: string) => storeFile([Buffer.from(content)])
const emptyDirectory = 'bafybeiczsscdsbs7ffqz55asqdf3smv6klcw3gofszvwlyarci47bgf354'

test('small files have the CIDs of kubo', async () => {
  expect(await single('hello world')).toBe('bafkreifzjut3te2nhyekklss27nh3k72ysco7y32koao5eei66wof36n5e')
  expect(await storeFile([])).toBe('bafkreihdwdcefgh4dqkjv67uzcmw7ojee6xedzdetojuzjevtenxquvyku')
  expect((await storeDirectory([], forgetting)).cid.toString()).toBe(emptyDirectory)
})

test('files around the size of a chunk have the CIDs of kubo', async () => {
  expect(await storeFile(seeded(chunkBytes, 'chunk-v1-seed'))).toBe('bafkreiacndfy443ter6qr2tmbbdhadvxxheowwf75s6zehscklu6ezxmta')
  expect(await storeFile(seeded(chunkBytes + 1, 'chunk-v1-seed'))).toBe('bafybeigmix7t42i6jacydtquhet7srwvgpizfg7gjbq7627d35mjomtu64')
})

test('a file of more chunks than a node has links has the CID of kubo, and streams', async () => {
  expect(await storeFile(seeded(1024 * chunkBytes + 1, 'v1-2025-seed'))).toBe('bafybeibdsi225ugbkmpbdohnxioyab6jsqrmkts3twhpvfnzp77xtzpyhe')
})

test('directories around the threshold of sharding have the CIDs of kubo', async () => {
  const cid = CID.parse(await single('x'))
  const named = (names: readonly string[]) => names.map((name) => ({ name, cid, treeBytes: 1 }))
  const at = await storeDirectory(named(seededNames(4766, 11, 21, 'hamt-unixfs-v1-2025')), forgetting)
  expect(at.cid.toString()).toBe('bafybeic3h7rwruealwxkacabdy45jivq2crwz6bufb5ljwupn36gicplx4')
  const over = await storeDirectory(named(seededNames(4766, 11, 22, 'hamt-unixfs-v1-2025')), forgetting)
  expect(over.cid.toString()).toBe('bafybeiegvuterwurhdtkikfhbxcldohmxp566vpjdofhzmnhv6o4freidu')
})

test('directories of directories and large ones have the CIDs and sizes of boxo', async () => {
  const raw = { cid: CID.parse(await single('x')), treeBytes: 1 }
  const directory = { cid: CID.parse(emptyDirectory), treeBytes: 4 }
  const expected = [
    { count: 10, child: directory, cid: 'bafybeihu3wrzvvz4twpvhmo5sy6pu7i6h6bgcqjroboziuf3cff76jchhq', treeBytes: 604 },
    { count: 4000, child: directory, cid: 'bafybeifhtzfgremrn7s2tvh247v7o7xyuysah4cadbxr5sgrhznl3vjhuq', treeBytes: 240_004 },
    { count: 6000, child: directory, cid: 'bafybeibc3ls3tcyecl5w7e75rsws5ih3bbfeknvs426hpkv3bm266pbbyu', treeBytes: 417_262 },
    { count: 6000, child: raw, cid: 'bafybeibbrcwz5jtljdp2eyviecankrnao2r4dctjrftc5ovb5dkngrpmuy', treeBytes: 399_262 },
  ]
  for (const { count, child, cid, treeBytes } of expected) {
    const entries = Array.from({ length: count }, (_, index) => ({ name: `entry-${String(index).padStart(6, '0')}`, ...child }))
    const stored = await storeDirectory(entries, forgetting)
    expect({ count, cid: stored.cid.toString(), treeBytes: stored.treeBytes }).toEqual({ count, cid, treeBytes })
  }
})

test('a directory whose parts are put together by hand has the CID that publishing it gives', async () => {
  await using directory = await scratch()
  const storage = await directory.storage()
  // dag-pb by hand: link = field 2 {hash = 1, name = 2, tsize = 3}, data = field 1 {type = 1: directory (1)}.
  const leaf = Buffer.concat([Buffer.from([0x01, 0x55, 0x12, 0x20]), sha256(Buffer.from('hi\n'))])
  const link = Buffer.concat([Buffer.from([0x0a, leaf.length]), leaf, Buffer.from([0x12, 1]), Buffer.from('a'), Buffer.from([0x18, 3])])
  const block = Buffer.concat([Buffer.from([0x12, link.length]), link, Buffer.from([0x0a, 2, 0x08, 1])])
  const cid = CID.decode(Buffer.concat([Buffer.from([0x01, 0x70, 0x12, 0x20]), sha256(block)]))
  expect(cidOf(await storage.publisher.publish('by hand', await directory.make({ a: 'hi\n' }), {}))).toBe(cid.toString())
})
