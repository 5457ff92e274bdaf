import { mkdirSync, mkdtempSync, readdirSync, rmSync, statSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import fc from 'fast-check'
import { afterEach, beforeEach, expect, test } from 'vitest'
import { isErrno } from '../src/wasi/errno.ts'
import { nodeAt, walk } from '../src/wasi/path.ts'
import { quotaOf } from '../src/wasi/quota.ts'
import { byBytes, type File, fileTree } from '../src/wasi/tree.ts'

let root = ''
beforeEach(() => {
  root = mkdtempSync(join(tmpdir(), 'skrei-tree-'))
})
afterEach(() => rmSync(root, { recursive: true }))

test('names are ordered by their UTF-8 bytes', () => {
  fc.assert(
    fc.property(fc.string({ unit: 'binary' }), fc.string({ unit: 'binary' }), (a, b) => {
      expect(Math.sign(byBytes(a, b))).toBe(Buffer.compare(Buffer.from(a), Buffer.from(b)))
    }),
  )
})

const names = fc.constantFrom('a', 'b', 'c')
const paths = fc.array(names, { minLength: 1, maxLength: 3 }).map((parts) => parts.join('/'))
const operations = fc.array(
  fc.oneof(
    fc.record({ type: fc.constant('create' as const), path: paths }),
    fc.record({ type: fc.constant('mkdir' as const), path: paths }),
    fc.record({ type: fc.constant('write' as const), file: fc.nat(9), size: fc.nat(50), at: fc.nat(100) }),
    fc.record({ type: fc.constant('resize' as const), file: fc.nat(9), size: fc.nat(100) }),
    fc.record({ type: fc.constant('close' as const), file: fc.nat(9) }),
    fc.record({ type: fc.constant('remove' as const), path: paths }),
    fc.record({ type: fc.constant('rename' as const), path: paths, to: paths }),
  ),
  { maxLength: 60 },
)

test('whatever is done, the host holds what the tree shows, and the quota is what it holds and what is open', () => {
  let round = 0
  fc.assert(
    fc.property(operations, (steps) => {
      const host = join(root, String(round++))
      mkdirSync(host)
      const quota = quotaOf({ bytes: 1e9, entries: 1e6 })
      const tree = fileTree([{ path: host, at: '/out', writable: true }], quota)
      const out = nodeAt(tree, tree.root, 'out')
      if (out.kind !== 'directory') throw new Error('the mount is no directory')
      const open: File[] = []
      for (const step of steps) {
        try {
          if (step.type === 'create' || step.type === 'mkdir') {
            const { parent, name, node } = walk(tree, out, step.path)
            if (node !== undefined || parent === undefined) continue
            if (step.type === 'create') open.push(tree.createFile(parent, name))
            else tree.createDirectory(parent, name)
          } else if (step.type === 'remove') {
            const node = nodeAt(tree, out, step.path)
            if (node.kind === 'file') tree.unlink(node)
            else tree.removeDirectory(node)
          } else if (step.type === 'rename') {
            const to = walk(tree, out, step.to)
            if (to.parent !== undefined) tree.rename(nodeAt(tree, out, step.path), to.parent, to.name)
          } else {
            const file = open[step.file]
            if (file === undefined) continue
            if (step.type === 'write') tree.write(file, new Uint8Array(step.size), step.at)
            else if (step.type === 'resize') tree.resize(file, step.size)
            else {
              open.splice(step.file, 1)
              tree.release(file)
            }
          }
        } catch (error) {
          if (!isErrno(error)) throw error
        }
      }
      const seen: string[] = []
      const visit = (path: string, node: ReturnType<typeof nodeAt>): void => {
        if (path !== '') seen.push(node.kind === 'file' ? `${path} ${tree.sizeOf(node)}` : path)
        if (node.kind === 'directory') for (const child of tree.listed(node)) visit(join(path, child.name), child)
      }
      visit('', out)
      const held = readdirSync(host, { recursive: true, encoding: 'utf8' }).map((path) => {
        const stat = statSync(join(host, path))
        return stat.isFile() ? `${path} ${stat.size}` : path
      })
      expect(held.sort()).toEqual(seen.sort())
      const onDisk = held.reduce((sum, line) => sum + Number(line.split(' ')[1] ?? 0), 0)
      const unlinked = open.filter((file) => file.parent === undefined).reduce((sum, file) => sum + tree.sizeOf(file), 0)
      expect(quota.bytes()).toBe(onDisk + unlinked)
      for (const file of open) tree.release(file)
      expect(quota.bytes()).toBe(onDisk)
    }),
    { numRuns: 150 },
  )
})
