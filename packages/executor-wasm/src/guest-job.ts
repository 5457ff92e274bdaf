import type { Ending } from './wasi/ending.ts'
import type { GuestSetup } from './wasi/guest.ts'

/** What the process of a guest is asked to do. Crosses processes. */
export interface GuestJob extends Omit<GuestSetup, 'output'> {
  /** Host path of the binary. */
  readonly module: string
  readonly maxModuleBytes: number
  /** Bytes that the guest's memory may have. */
  readonly memory: number
  readonly streams: Readonly<Record<'stdout' | 'stderr', { readonly path: string; readonly limit: number }>>
}

export type GuestEnding = Ending | { readonly type: 'failure'; readonly code: 'module-invalid' | 'out-of-memory'; readonly detail: string }

export interface GuestResult {
  readonly ending: GuestEnding
  readonly truncated: readonly ('stdout' | 'stderr')[]
  readonly outputBytes: number
  /** Bytes of the guest's memory at the end, which never shrinks. Absent where it had none yet. */
  readonly memoryPeak?: number
  readonly moduleSha256?: string
}

/** From the guest's process. */
export type ProcessMessage =
  | { readonly type: 'ready' }
  /** There is more in the files of the streams. */
  | { readonly type: 'output' }
  | { readonly type: 'end'; readonly result: GuestResult; readonly cpuMs: number }
