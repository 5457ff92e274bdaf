import { readFileSync } from 'node:fs'

/** One record of `flights-20k.json` of vega-datasets: US domestic flights, January to March 2001, from the Bureau of Transportation Statistics. */
export interface Flight {
  readonly date: string
  readonly delay: number
  readonly distance: number
  readonly origin: string
  readonly destination: string
}

const day = 86_400_000

/** All flights, a text for each week: records as they are, one a line. */
export const flightsByWeek = (): ReadonlyMap<string, string> => {
  const flights: readonly Flight[] = JSON.parse(readFileSync(new URL('../data/flights-20k.json', import.meta.resolve('vega-datasets')), 'utf8'))
  const weeks = Map.groupBy(flights, ({ date }) => {
    const [year, month, dayOfMonth] = date.slice(0, 10).split('/').map(Number)
    const dayOfYear = (Date.UTC(year ?? 0, (month ?? 1) - 1, dayOfMonth) - Date.UTC(year ?? 0, 0, 1)) / day
    return `2001-week-${String(Math.floor(dayOfYear / 7) + 1).padStart(2, '0')}.json`
  })
  return new Map(
    [...weeks].sort(([a], [b]) => (a < b ? -1 : 1)).map(([name, records]) => [name, `[\n${records.map((record) => JSON.stringify(record)).join(',\n')}\n]\n`]),
  )
}

export interface Hour {
  readonly hour: number
  readonly flights: number
  readonly late: number
  readonly minutes: number
}

/** The same answer, computed here from the same files: what the job's result is checked against. */
export const delaysByHour = (files: Iterable<string>): readonly Hour[] => {
  const flights = [...files].flatMap((text) => JSON.parse(text) as readonly Flight[])
  return Array.from({ length: 24 }, (_, hour) => {
    const own = flights.filter(({ date }) => Number(date.slice(11, 13)) === hour)
    return { hour, flights: own.length, late: own.filter(({ delay }) => delay >= 15).length, minutes: own.reduce((sum, { delay }) => sum + delay, 0) }
  })
}
