import { EndingError } from './ending.ts'

/** What the guest's outputs hold together. */
export interface Quota {
  readonly bytes: () => number
  /** Takes so many bytes more (or gives some back); ends the guest where there is no room. */
  charge(bytes: number): void
  /** The same for files and directories. */
  chargeEntries(count: number): void
}

export const quotaOf = (limits: { readonly bytes: number; readonly entries: number }): Quota => {
  let bytes = 0
  let entries = 0
  return {
    bytes: () => bytes,
    charge: (more) => {
      if (bytes + more > limits.bytes) throw tooLarge(`the outputs would hold ${bytes + more} bytes of ${limits.bytes} allowed (resources.disk)`)
      bytes += more
    },
    chargeEntries: (more) => {
      if (entries + more > limits.entries)
        throw tooLarge(`the outputs would hold ${entries + more} files and directories of ${limits.entries} allowed (limits.files)`)
      entries += more
    },
  }
}

const tooLarge = (detail: string) => new EndingError({ type: 'failure', code: 'output-too-large', detail })
