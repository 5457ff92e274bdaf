import type { AbortOptions } from '@skrei/storage'
import type { Blockstore } from './blockstore.ts'
import type { EmbeddedHelia } from './helia-node.ts'

export interface Operation {
  /** Ends it. */
  readonly signal: AbortSignal
  /** The node that it works on. */
  readonly node: EmbeddedHelia
  /** What it reads: what is held, and what helia fetches, in turns with other operations. */
  readonly blocks: Blockstore
}

/** Begins an operation; throws where it must not begin. */
export type OpenOperation = (options?: AbortOptions) => Operation
