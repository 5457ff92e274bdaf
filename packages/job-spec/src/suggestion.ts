const longest = 40

/** Optimal string alignment distance: insertions, deletions, changes and swaps of neighbours. */
const distance = (left: string, right: string): number => {
  let beforeLast: number[] = []
  let last = Array.from({ length: right.length + 1 }, (_, index) => index)
  for (let row = 1; row <= left.length; row += 1) {
    const current = [row]
    for (let column = 1; column <= right.length; column += 1) {
      const same = left[row - 1] === right[column - 1]
      let best = Math.min((last[column] ?? 0) + 1, (current[column - 1] ?? 0) + 1, (last[column - 1] ?? 0) + (same ? 0 : 1))
      if (row > 1 && column > 1 && left[row - 1] === right[column - 2] && left[row - 2] === right[column - 1])
        best = Math.min(best, (beforeLast[column - 2] ?? 0) + 1)
      current.push(best)
    }
    beforeLast = last
    last = current
  }
  return last[right.length] ?? 0
}

/** The one of `known` that somebody who wrote `word` most likely meant, if any is near enough. */
export const suggestion = (word: string, known: readonly string[]): string | undefined => {
  if (word.length > longest) return undefined
  const lower = word.toLowerCase().replaceAll(/[-_]/g, '')
  const near = known
    .filter((candidate) => candidate.length <= longest)
    .map((candidate) => ({ candidate, distance: distance(lower, candidate.toLowerCase().replaceAll(/[-_]/g, '')) }))
    .filter(({ candidate, distance }) => distance <= Math.max(1, Math.floor(Math.min(candidate.length, word.length) / 3)))
    .toSorted((left, right) => left.distance - right.distance)
  return near[0]?.candidate
}
