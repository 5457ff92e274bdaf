import type { RunEvent } from '@skrei/executor'

/** The evidence of an execution is no larger, however long it runs and however much is counted; bytes. */
export const mostEvidence = 256 * 1024

interface Line {
  readonly at: number
  readonly bytes: Uint8Array
}

/** The evidence of one execution, as it is published: a JSON object a line, `at` in milliseconds since the program began. */
export interface EvidenceLog {
  add(event: Extract<RunEvent, { type: 'evidence' }>): void
  text(): Uint8Array
}

/** Keeps every sample while they are few. Where they become too many it keeps every other one, and later ones as far apart; the last one is always there. */
export const createEvidenceLog = (most = mostEvidence): EvidenceLog => {
  const encoder = new TextEncoder()
  let lines: Line[] = []
  let size = 0
  /** Kept samples are so many milliseconds apart. */
  let gap = 0
  let last: Line | undefined

  const thin = (): void => {
    lines = lines.filter((_, index) => index % 2 === 0)
    size = lines.reduce((sum, { bytes }) => sum + bytes.length, 0)
    gap = ((lines.at(-1)?.at ?? 0) - (lines[0]?.at ?? 0)) / Math.max(1, lines.length - 1)
  }

  return {
    add: ({ at, counters }) => {
      const line = { at, bytes: encoder.encode(`${JSON.stringify({ at: Math.round(at), counters })}\n`) }
      // Of so large a sample there would be no series.
      if (line.bytes.length > most / 8) return
      last = undefined
      const before = lines.at(-1)
      if (before !== undefined && at - before.at < gap) last = line
      else {
        lines.push(line)
        size += line.bytes.length
      }
      while (size + (last?.bytes.length ?? 0) > most) thin()
    },
    text: () => {
      const all = last === undefined ? lines : [...lines, last]
      const bytes = new Uint8Array(all.reduce((sum, line) => sum + line.bytes.length, 0))
      let offset = 0
      for (const line of all) {
        bytes.set(line.bytes, offset)
        offset += line.bytes.length
      }
      return bytes
    },
  }
}
