import { descriptorTable } from './descriptor.ts'
import { type Ending, EndingError } from './ending.ts'
import { errnoOfHost, hostCode, isErrno } from './errno.ts'
import { fileCalls } from './file-calls.ts'
import type { Call, Guest, GuestSetup, Parameters } from './guest.ts'
import { guestMemory } from './guest-memory.ts'
import { nodeAt } from './path.ts'
import { pathCalls } from './path-calls.ts'
import { processCalls } from './process-calls.ts'
import { quotaOf } from './quota.ts'
import { guestClock, randomFrom } from './source-of-chance.ts'
import { fileTree, type Tree } from './tree.ts'

export const wasiModule = 'wasi_snapshot_preview1'

const calls: ReadonlyMap<string, Call> = new Map(Object.entries({ ...processCalls, ...fileCalls, ...pathCalls }))

export const providesCall = (module: string, name: string): boolean => module === wasiModule && calls.has(name)

export interface Wasi {
  readonly imports: Readonly<Record<string, (...parameters: unknown[]) => number>>
  /** Why the guest ended, where one of its calls ended it. */
  ending(): Ending | undefined
  outputBytes(): number
  close(): void
}

/** The calls of WASI preview 1 for one guest. Whatever the guest passes, a call answers an errno or ends the guest; nothing of the host reaches it. */
export const wasiFor = (setup: GuestSetup, buffer: () => ArrayBuffer | undefined): Wasi => {
  const quota = quotaOf(setup.limits)
  const tree = fileTree(setup.mounts, quota)
  const descriptors = descriptorTable(tree)
  const guest: Guest = { setup, memory: guestMemory(buffer), tree, descriptors, clock: guestClock(), random: randomFrom(setup.seed) }
  openStandard(guest)
  let ended: Ending | undefined

  const end = (error: unknown): EndingError => {
    const ending = endingOf(error)
    ended = ending
    return new EndingError(ending)
  }
  const imported = (run: Call[1], kinds: string) => {
    return (...given: unknown[]): number => {
      if (ended !== undefined) throw new EndingError(ended)
      try {
        run(guest, coerced(given, kinds))
        return 0
      } catch (error) {
        if (isErrno(error)) return error.errno
        if (error instanceof EndingError) throw end(error)
        const answer = hostCode(error) === 'EMFILE' ? undefined : errnoOfHost(error)
        if (answer !== undefined) return answer.errno
        throw end(error)
      }
    }
  }
  return {
    imports: Object.fromEntries([...calls].map(([name, [kinds, run]]) => [name, imported(run, kinds)])),
    ending: () => ended,
    outputBytes: quota.bytes,
    close: () => descriptors.closeAll(),
  }
}

/** A module may declare a call with other types than it has: what arrives is brought to the right ones. */
const coerced = (given: readonly unknown[], kinds: string): Parameters => {
  const at = (index: number, kind: string): unknown => {
    if (kinds[index] !== kind) throw new TypeError(`parameter ${index} is not of kind ${kind}`)
    return given[index]
  }
  return {
    i: (index) => {
      const value = at(index, 'i')
      return typeof value === 'number' ? value >>> 0 : typeof value === 'bigint' ? Number(BigInt.asUintN(32, value)) : 0
    },
    I: (index) => {
      const value = at(index, 'I')
      return typeof value === 'bigint' ? BigInt.asIntN(64, value) : typeof value === 'number' && Number.isSafeInteger(value) ? BigInt(value) : 0n
    },
  }
}

const endingOf = (error: unknown): Ending => {
  if (error instanceof EndingError) return error.ending
  // The guest's recursion ran into our call: the stack is its own.
  if (error instanceof RangeError && error.message.includes('call stack')) return { type: 'failure', code: 'trap', detail: 'stack overflow' }
  const code = hostCode(error)
  if (code === 'ENOSPC' || code === 'EDQUOT') return { type: 'failure', code: 'disk-full', detail: 'the disk of the node is full' }
  return { type: 'fault', message: error instanceof Error ? error.message : String(error) }
}

const openStandard = (guest: Guest): void => {
  const { setup, tree, descriptors } = guest
  if (typeof setup.stdin === 'object') {
    const node = stdinNode(tree, setup.stdin.path)
    tree.open(node)
    descriptors.add({ kind: 'file', node, position: 0, append: false, readable: true, writable: false })
  } else descriptors.add({ kind: 'stdin', bytes: new TextEncoder().encode(setup.stdin ?? ''), position: 0 })
  descriptors.add({ kind: 'output', stream: 'stdout' })
  descriptors.add({ kind: 'output', stream: 'stderr' })
  for (const { at, node } of tree.mounted) if (node.kind === 'directory') descriptors.add({ kind: 'directory', node, preopen: at })
  descriptors.add({ kind: 'directory', node: tree.root, preopen: '/' })
}

const stdinNode = (tree: Tree, path: string) => {
  try {
    const node = nodeAt(tree, tree.root, path.slice(1))
    if (node.kind === 'file') return node
  } catch (error) {
    if (!isErrno(error)) throw error
  }
  throw new EndingError({ type: 'failure', code: 'task-invalid', detail: `stdin names ${path}, which is no file among the inputs` })
}
