import { createHash, type Hash } from 'node:crypto'
import { type FileHandle, open, rm } from 'node:fs/promises'
import { type FailureCode, FailureError, type FileEntry, type SourceSpec } from '@skrei/job-spec'
import type { Source } from '@skrei/storage'
import type { Blockstore } from './blockstore.ts'
import { type DagFile, type DagNode, holdsBlock, loadNode, parseCid, rawCode } from './dag-node.ts'
import { type ContentOptions, fileContent } from './file-content.ts'
import { IpfsError, type IpfsErrorCode } from './ipfs-error.ts'
import type { OpenOperation } from './open-operation.ts'
import { walkTree } from './tree-walk.ts'
import { writeAll } from './write-whole.ts'

// A corrupt block is not here: the node's own disk is at fault, and another node can still do the job.
const failureCodes: Partial<Record<IpfsErrorCode, FailureCode>> = {
  'block-missing': 'source-not-found',
  // Others may be connected to a node that has it: the job may be tried there.
  'block-unreachable': 'source-unreachable',
  'cid-unsupported': 'source-invalid',
  'dag-invalid': 'source-invalid',
  'limit-exceeded': 'source-too-large',
}

const failureFrom = (error: unknown, cid: string): unknown => {
  if (!(error instanceof IpfsError))
    return error instanceof Error && 'code' in error && error.code === 'ENOSPC' ? new FailureError('disk-full', `staging ${cid}`, { cause: error }) : error
  const code = failureCodes[error.code]
  if (code === undefined) return error
  const remedy = error.code === 'block-missing' ? '; this node is offline: publish or import the data on it, or use a node that holds it' : ''
  return new FailureError(code, `ipfs ${cid}: ${error.message}${remedy}`, { cause: error })
}

const cidOf = (source: SourceSpec): string => {
  if (source.type !== 'ipfs') throw new FailureError('source-invalid', `a source of type ${source.type} was given to the ipfs driver`)
  return source.cid
}

/** Blocks that `assess` looks for at most: it is asked before every bid. Up to 4 GiB of file content. */
const assessedBlocks = 4096

interface Assessed {
  readonly held: boolean
  readonly bytes?: number
}

const holdsFile = async (blockstore: Blockstore, file: DagFile, take: () => boolean, signal: AbortSignal): Promise<boolean> => {
  for (const { cid } of file.children) {
    if (!take()) return true
    if (!(await holdsBlock(blockstore, cid, signal))) return false
    if (cid.code === rawCode) continue
    const node = await loadNode(blockstore, cid, signal)
    if (node.kind !== 'file' || !(await holdsFile(blockstore, node, take, signal))) return false
  }
  return true
}

const assessNode = async (blockstore: Blockstore, root: DagNode, maxEntries: number, signal: AbortSignal): Promise<Assessed> => {
  let left = assessedBlocks
  const take = () => {
    left -= 1
    return left >= 0
  }
  if (root.kind === 'file') return { held: await holdsFile(blockstore, root, take, signal), bytes: root.size }
  let bytes = 0
  for await (const item of walkTree(blockstore, root, { maxEntries, signal })) {
    if (!take()) return { held: true }
    if (item.type === 'directory') continue
    bytes += item.size
    if (!(await holdsBlock(blockstore, item.cid, signal))) return { held: false }
    if (item.cid.code === rawCode) continue
    const node = await loadNode(blockstore, item.cid, signal)
    if (node.kind !== 'file' || !(await holdsFile(blockstore, node, take, signal))) return { held: false }
  }
  return { held: true, bytes }
}

interface Expected {
  readonly size: number | undefined
  readonly sha256: readonly string[]
  readonly maxBytes: number
}

const checkSize = (file: DagFile, { size, maxBytes }: Expected): void => {
  if (file.size > maxBytes) throw new FailureError('source-too-large', `ipfs ${file.cid}: ${file.size} bytes, ${maxBytes} are allowed`)
  if (size !== undefined && size !== file.size) throw new FailureError('source-mismatch', `ipfs ${file.cid}: ${file.size} bytes, ${size} were planned`)
}

const checkHash = (hash: Hash | undefined, { sha256 }: Expected, cid: string): void => {
  const found = hash?.digest('hex')
  for (const wanted of sha256) if (wanted !== found) throw new FailureError('source-mismatch', `ipfs ${cid}: SHA-256 is ${found}, ${wanted} was asked for`)
}

async function* writeChecked(target: FileHandle, file: DagFile, expected: Expected, options: ContentOptions): AsyncGenerator<number, void, undefined> {
  const hash = expected.sha256.length > 0 ? createHash('sha256') : undefined
  let bytes = 0
  for await (const block of fileContent(file, options)) {
    hash?.update(block)
    await writeAll(target, block)
    bytes += block.byteLength
    yield bytes
  }
  checkHash(hash, expected, file.cid.toString())
  if (bytes === 0) yield 0
}

interface IpfsSourceParts {
  readonly open: OpenOperation
  readonly maxEntries: number
}

export const ipfsSource = ({ open: openOperation, maxEntries }: IpfsSourceParts): Source => ({
  type: 'ipfs',

  list: async function* (source, options): AsyncGenerator<FileEntry, void, undefined> {
    const { signal, blocks: blockstore } = openOperation(options)
    const text = cidOf(source)
    try {
      const root = await loadNode(blockstore, parseCid(text), signal)
      if (root.kind === 'file') {
        yield { path: text, source, size: root.size, ...(source.sha256 !== undefined && { hash: source.sha256 }), alone: true }
        return
      }
      if (source.sha256 !== undefined) throw new FailureError('source-invalid', `ipfs ${text}: sha256 pins one file, and this is a directory`)
      for await (const item of walkTree(blockstore, root, { maxEntries, signal })) {
        if (item.type === 'file') yield { path: item.path, source: { type: 'ipfs', cid: item.cid.toString() }, size: item.size }
      }
    } catch (error) {
      throw failureFrom(error, text)
    }
  },

  assess: async (source, options) => {
    const { signal, node } = openOperation(options)
    const text = cidOf(source)
    try {
      const cid = parseCid(text)
      // Only what is held is read: assessing starts no download, since a bid waits for it.
      const blockstore = node.held
      if (!(await holdsBlock(blockstore, cid, signal))) return { held: false, refusals: [] }
      return { ...(await assessNode(blockstore, await loadNode(blockstore, cid, signal), maxEntries, signal)), refusals: [] }
    } catch (error) {
      if (error instanceof IpfsError && error.code !== 'not-started') return { held: false, refusals: [] }
      throw error
    }
  },

  stage: async function* (file, into, options) {
    const { signal, node, blocks: blockstore } = openOperation(options)
    const text = cidOf(file.source)
    const expected: Expected = { size: file.size, maxBytes: options.maxBytes, sha256: [file.hash, file.source.sha256].filter((wanted) => wanted !== undefined) }
    let target: FileHandle | undefined
    let done = false
    try {
      const root = await loadNode(blockstore, parseCid(text), signal)
      if (root.kind !== 'file') throw new FailureError('source-invalid', `ipfs ${text} is a directory, not a file`)
      checkSize(root, expected)
      target = await open(into, 'wx', 0o644)
      yield* writeChecked(target, root, expected, { blockstore, signal, blocksAhead: node.blocksAhead })
      done = true
    } catch (error) {
      throw failureFrom(error, text)
    } finally {
      await target?.close()
      if (target !== undefined && !done) await rm(into, { force: true })
    }
  },
})
