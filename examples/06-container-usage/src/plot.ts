export interface Point {
  /** Milliseconds. */
  readonly at: number
  readonly value: number
}

const eighths = ' ▁▂▃▄▅▆▇█'

/** Points as columns of blocks, the highest row first: each column is the mean of its points. Where it has none, the next one counts: a sample speaks for the time since the one before. */
export const plot = (
  points: readonly Point[],
  { width, height, end }: { readonly width: number; readonly height: number; readonly end: number },
): readonly string[] => {
  const top = Math.max(...points.map(({ value }) => value), Number.MIN_VALUE)
  const columns: number[] = []
  for (let column = 0; column < width; column++) {
    const own = points.filter(({ at }) => Math.min(width - 1, Math.floor((at / end) * width)) === column)
    const next = points.find(({ at }) => at >= ((column + 1) / width) * end)?.value ?? 0
    columns.push(own.length === 0 ? next : own.reduce((sum, { value }) => sum + value, 0) / own.length)
  }
  return Array.from({ length: height }, (_, row) =>
    columns.map((value) => eighths[Math.max(0, Math.min(8, Math.round((value / top) * height * 8) - (height - 1 - row) * 8))]).join(''),
  )
}

/** What a counter that only grows grew by in a millisecond, between each two samples. */
export const rate = (points: readonly Point[]): readonly Point[] =>
  points.flatMap((point, index) => {
    const before = points[index - 1] ?? { at: 0, value: 0 }
    return point.at > before.at ? [{ at: point.at, value: (point.value - before.value) / (point.at - before.at) }] : []
  })
