import type { Descriptors } from './descriptor.ts'
import type { GuestMemory } from './guest-memory.ts'
import type { GuestClock } from './source-of-chance.ts'
import type { Mount, Tree } from './tree.ts'

export interface GuestSetup {
  readonly args: readonly string[]
  readonly env: Readonly<Record<string, string>>
  readonly stdin: string | { readonly path: string } | undefined
  readonly mounts: readonly Mount[]
  readonly seed: Uint8Array
  readonly limits: { readonly bytes: number; readonly entries: number }
  readonly output: (stream: 'stdout' | 'stderr', bytes: Uint8Array) => void
}

/** What the calls work on. */
export interface Guest {
  readonly setup: GuestSetup
  readonly memory: GuestMemory
  readonly tree: Tree
  readonly descriptors: Descriptors
  readonly clock: GuestClock
  readonly random: (into: Uint8Array) => void
}

/** A parameter is a 32-bit number (`i`), given unsigned, or a 64-bit one (`I`), given as it is: signed. */
export type Call = readonly [parameters: string, run: (guest: Guest, parameters: Parameters) => void]
export interface Parameters {
  i(index: number): number
  I(index: number): bigint
}
