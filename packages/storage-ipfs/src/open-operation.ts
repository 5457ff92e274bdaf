import type { AbortOptions } from '@skrei/storage'
import type { EmbeddedHelia } from './helia-node.ts'

/** Begins an operation: throws where it must not begin, gives the signal that ends it and the node that it works on. */
export type OpenOperation = (options?: AbortOptions) => { readonly signal: AbortSignal; readonly node: EmbeddedHelia }
