import type { NodeSummary, NodeView } from '@skrei/api/client'
import type { Capacity } from '@skrei/job-spec'
import { cliError, type ExitCode, exitCodes } from '../cli-errors.ts'
import { ago, bytes, oneLine } from '../printable.ts'
import { columns, count, named, type Style, titledTable, wrapped } from '../table.ts'
import { type Asking, type AskOptions, askNode } from './ask-node.ts'

/** `skrei node describe`: the node that is asked, or, with what its id begins or ends with, one that it knows. */
export const nodeDescribe = (which: string | undefined, options: AskOptions): Promise<ExitCode> =>
  askNode(options, async ({ client, event, say, style, width, signal }) => {
    const own = await client.node({ signal })
    if (which === undefined || own.nodeId === which) {
      event({ type: 'node', node: own } as { readonly type: string })
      say(ownLines(own, { style, width }))
      return exitCodes.completed
    }
    const found = (await client.nodes({ signal })).filter(({ node }) => node.startsWith(which) || node.endsWith(which))
    const [node] = found
    if (node === undefined) throw cliError('node-unknown', `node ${own.nodeId} knows of no compute node ${JSON.stringify(which.slice(0, 100))}`)
    if (found.length > 1) throw cliError('node-unknown', `${found.length} nodes have an id that begins or ends with ${JSON.stringify(which.slice(0, 100))}`)
    event({ type: 'node', node } as { readonly type: string })
    say(otherLines(node, { style, width }))
    return exitCodes.completed
  })

type Look = Pick<Asking, 'style' | 'width'>

/** What is longer than a line goes on below its beginning. */
const pairs = (rows: readonly (readonly [string, string])[], { style, width }: Look): readonly string[] => {
  const shown = rows.filter(([, value]) => value !== '')
  const left = Math.max(...shown.map(([label]) => label.length)) + 4
  return columns(
    shown.flatMap(([label, value]) =>
      wrapped(value.split(' '), width === undefined ? undefined : width - left).map((line, index) => [index === 0 ? `  ${style('dim', label)}` : '', line]),
    ),
  )
}

const labelText = (labels: Readonly<Record<string, string>>): string =>
  named(
    Object.entries(labels)
      .map(([name, value]) => `${name}=${value}`)
      .join(' '),
    200,
  )

const ownLines = (node: NodeView, look: Look): readonly string[] => {
  const { style } = look
  const { capacity, free, devices = [], queued = 0, executions = 0, jobs } = node.standing
  return [
    style('bold', node.nodeId),
    ...pairs(
      [
        ['network', node.network],
        ['roles', node.roles.join(' ')],
        ['version', node.version],
        ['up', ago(Date.now() - node.startedAt).replace(/ ago$/, '')],
        ['addresses', node.addresses.join(' ')],
        ['engines', node.engines.map(({ name, version }) => `${name} ${version}`).join(', ')],
        ['sources', node.sources.join(' ')],
        ['publishers', node.publishers.join(' ')],
        ['labels', labelText(node.labels)],
        ['open jobs', String(jobs.open)],
        ['executions', capacity === undefined ? '' : `${executions}${queued > 0 ? `, and ${count(queued, 'ask')} waiting for room` : ''}`],
      ],
      look,
    ),
    ...(capacity === undefined || free === undefined ? [] : ['', ...capacityTable(capacity, free, style)]),
    ...devices.map((device) => `  ${oneLine(JSON.stringify(device))}`),
  ]
}

const otherLines = (node: NodeSummary, look: Look): readonly string[] => [
  look.style('bold', oneLine(node.node)),
  ...pairs(
    [
      ['heard', ago(Date.now() - node.issuedAt)],
      ['engines', named(node.engines.map(({ name, version }) => `${name} ${version}`).join(', '), 200)],
      ['sources', named(node.sources.join(' '), 200)],
      ['publishers', named(node.publishers.join(' '), 200)],
      ['labels', labelText(node.labels)],
    ],
    look,
  ),
  '',
  ...capacityTable(node.capacity, node.free, look.style),
  ...node.devices.map((device) => `  ${oneLine(JSON.stringify(device))}`),
]

const capacityTable = (capacity: Capacity, free: Capacity, style: Style): readonly string[] => {
  const cpu = (milli: number): string => String(milli / 1000)
  const row = (name: string, total: number, left: number, text: (amount: number) => string): readonly string[] => [
    name,
    text(total - left),
    text(left),
    text(total),
  ]
  return titledTable(
    ['', 'reserved', 'free', 'total'],
    [row('CPU', capacity.cpu, free.cpu, cpu), row('memory', capacity.memory, free.memory, bytes), row('disk', capacity.disk, free.disk, bytes)],
    style,
  ).map((line) => `  ${line}`)
}
