import { spread } from './spread.ts'
import type { Samples, Suite } from './suite.ts'

const text = (value: number): string => (Number.isInteger(value) || Math.abs(value) >= 1000 ? value.toFixed(0) : Number(value.toPrecision(4)).toString())

/** A table for people: the median of each figure, and its smallest and largest value. */
export const table = ({ name, about, figures }: Suite, samples: Samples): string => {
  const rows = Object.entries(figures).map(([figure, what]) => {
    const values = samples[figure] ?? []
    const { median, min, max } = spread(values)
    return [figure, text(median), values.length > 1 ? `${text(min)} .. ${text(max)}` : '', what]
  })
  const all = [['', 'median', 'min .. max', ''], ...rows]
  const widths = [0, 1, 2].map((column) => Math.max(...all.map((row) => row[column]?.length ?? 0)))
  const lines = all.map(([figure = '', median = '', range = '', what = '']) =>
    `  ${figure.padEnd(widths[0] ?? 0)}  ${median.padStart(widths[1] ?? 0)}  ${range.padEnd(widths[2] ?? 0)}  ${what}`.trimEnd(),
  )
  return [`${name}: ${about}`, ...lines].join('\n')
}

/** One line for programs: the median of each figure, by names that never change. */
export const jsonLine = ({ name, figures }: Suite, samples: Samples): string =>
  JSON.stringify({ suite: name, figures: Object.fromEntries(Object.keys(figures).map((figure) => [figure, spread(samples[figure] ?? []).median])) })
