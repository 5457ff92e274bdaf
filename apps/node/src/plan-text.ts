import { styleText } from 'node:util'
import type { JobPlan, PlannedNode, PlannedShard } from '@skrei/scheduler'
import { asCalled } from './called-as.ts'
import type { Problem } from './cli-errors.ts'
import { bytes, oneLine } from './printable.ts'

type Style = (format: Parameters<typeof styleText>[0], text: string) => string

/** Nodes that are shown one by one; with --json all are told. */
const shownNodes = 20

/** A plan for people: what there is to run, what each node says, where the first shards would go, and why not. */
export const planText = (plan: JobPlan, error: Problem | null, stream: NodeJS.WriteStream): string => {
  const style: Style = (format, text) => styleText(format, text, { stream })
  const { outcome, input, nodes, known, first } = plan
  const head = heads[outcome]
  return [
    `${style([head.colour, 'bold'], head.text)}  ${oneLine(plan.name)}${input === undefined ? '' : `, ${inputText(input)}`}`,
    ...(error === null
      ? []
      : [
          `  ${style('bold', error.code)}`,
          `  ${oneLine(error.message)}`,
          ...(error.remedy === undefined ? [] : [`  ${style('dim', `→ ${asCalled(error.remedy)}`)}`]),
        ]),
    ...table(nodes.slice(0, shownNodes).map(nodeRow), style),
    ...(nodes.length > shownNodes ? [`  ${style('dim', `and ${count(nodes.length - shownNodes, 'more node')}`)}`] : []),
    ...(known > nodes.length && nodes.length > 0 ? [`  ${style('dim', `${nodes.length} of ${count(known, 'known node')} were asked`)}`] : []),
    ...table(shardRows(first, input?.shards ?? 0), style),
    `  ${style('dim', 'Nothing was run, and nothing reserved.')}`,
  ].join('\n')
}

const heads: Readonly<Record<JobPlan['outcome'], { readonly text: string; readonly colour: 'green' | 'yellow' | 'red' }>> = {
  runs: { text: 'would run', colour: 'green' },
  waits: { text: 'would wait', colour: 'yellow' },
  'no-node': { text: 'would not run', colour: 'red' },
  'input-failed': { text: 'would fail', colour: 'red' },
}

const count = (number: number, what: string): string => `${number} ${what}${number === 1 ? '' : 's'}`

const inputText = ({ shards, files, bytes: size }: NonNullable<JobPlan['input']>): string =>
  `${count(shards, 'shard')}, ${files === 0 ? 'no input files' : `${count(files, 'input file')}, ${size === undefined ? 'of unknown size' : bytes(size)}`}`

const answers: Readonly<Record<PlannedNode['answer'], string>> = {
  runs: 'would run it',
  waits: 'would let it wait',
  'not-now': 'refuses it now',
  never: 'cannot run it',
  unknown: 'did not answer',
}

const nodeRow = ({ node, answer, refusals, free, queued }: PlannedNode): readonly string[] => [
  oneLine(node),
  answers[answer],
  refusals.length > 0
    ? refusals.map(reason).join('; ')
    : free === undefined
      ? ''
      : `free: ${free.cpu / 1000} CPU, ${bytes(free.memory)} memory, ${bytes(free.disk)} disk${queued === undefined || queued === 0 ? '' : `; ${count(queued, 'ask')} waiting`}`,
]

const reason = ({ code, detail, resource, wanted, available }: PlannedNode['refusals'][number]): string =>
  (resource === 'memory' || resource === 'disk') && wanted !== undefined && available !== undefined
    ? `${code}: ${bytes(wanted)} of ${resource} asked, ${bytes(available)} ${code === 'busy' ? 'free' : 'there'}`
    : `${code}: ${oneLine(detail)}`

/** Neighbours that go to the same node share a line: `shards 0 to 3`. */
const shardRows = (first: readonly PlannedShard[], total: number): readonly (readonly string[])[] => {
  const groups: { from: number; to: number; node: string; waits: boolean }[] = []
  for (const { index, node, waits } of first) {
    const last = groups.at(-1)
    if (last !== undefined && last.node === node && last.waits === waits) last.to = index
    else groups.push({ from: index, to: index, node, waits })
  }
  const rows = groups.map(({ from, to, node, waits }) => [
    from === to ? `shard ${from}` : `shards ${from} to ${to}`,
    `${waits ? 'would wait for' : 'would go to'} ${oneLine(node)}`,
  ])
  return total > first.length && first.length > 0 ? [...rows, [`shards ${first.length} to ${total - 1}`, 'as nodes become free']] : rows
}

/** Columns as wide as their widest cell. */
const table = (rows: readonly (readonly string[])[], style: Style): readonly string[] => {
  const widths = (rows[0] ?? []).map((_, column) => Math.max(...rows.map((row) => row[column]?.length ?? 0)))
  return rows.map((row) => {
    const cells = row.map((cell, column) => (column === row.length - 1 ? cell : cell.padEnd(widths[column] ?? 0)))
    return `  ${[style('dim', cells[0] ?? ''), ...cells.slice(1)].join('  ')}`.trimEnd()
  })
}
