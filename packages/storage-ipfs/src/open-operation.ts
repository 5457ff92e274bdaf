import type { AbortOptions } from '@skrei/storage'

/** Begins an operation: throws where it must not begin, and gives the signal that ends it. */
export type OpenOperation = (options?: AbortOptions) => AbortSignal
