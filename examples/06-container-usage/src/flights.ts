import { readFileSync } from 'node:fs'

/** `flights-airport.csv` of vega-datasets: how many flights went from one US airport to another in 2008. `origin,destination,count`. */
export const flights = (): string => readFileSync(new URL('../data/flights-airport.csv', import.meta.resolve('vega-datasets')), 'utf8')

/** What the container runs: how many flights it takes from each airport to each other. All of it is held in memory before it is written. */
export const program = `awk -F, '
NR > 1 { to[$1] = to[$1] " " $2 }
END {
  for (from in to) {
    split("", seen)
    seen[from]
    front = from
    for (hops = 1; front != ""; hops++) {
      n = split(front, stops, " ")
      front = ""
      for (i = 1; i <= n; i++) {
        m = split(to[stops[i]], ends, " ")
        for (j = 1; j <= m; j++) if (!(ends[j] in seen)) {
          seen[ends[j]]
          table[from "," ends[j]] = hops
          front = front " " ends[j]
        }
      }
    }
  }
  for (pair in table) print pair "," table[pair]
}' /inputs/flights.csv | sort > /outputs/hops.csv
echo "$(wc -l < /outputs/hops.csv) connections"`

/** The same table, computed here: what the container wrote is checked against it. */
export const hopsOf = (csv: string): string => {
  const to = new Map<string, string[]>()
  for (const line of csv.trim().split('\n').slice(1)) {
    const [origin = '', destination = ''] = line.split(',')
    to.set(origin, [...(to.get(origin) ?? []), destination])
  }
  const lines = [...to.keys()].flatMap((from) => {
    const hops = new Map([[from, 0]])
    // A map goes on over what is added to it.
    for (const [stop, before] of hops) for (const end of to.get(stop) ?? []) if (!hops.has(end)) hops.set(end, before + 1)
    return [...hops].slice(1).map(([end, count]) => `${from},${end},${count}\n`)
  })
  return lines.sort().join('')
}

/** From where the other airports are the fewest flights away: those from which most are reached, and of these the nearest first. */
export const best = (table: string): readonly { readonly from: string; readonly reached: number; readonly mean: number }[] =>
  [
    ...Map.groupBy(
      table
        .trim()
        .split('\n')
        .map((line) => line.split(',')),
      ([from = '']) => from,
    ),
  ]
    .map(([from, rows]) => ({ from, reached: rows.length, mean: rows.reduce((sum, [, , hops]) => sum + Number(hops), 0) / rows.length }))
    .sort((a, b) => b.reached - a.reached || a.mean - b.mean)
