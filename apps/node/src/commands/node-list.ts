import type { NodeSummary } from '@skrei/api/client'
import { type ExitCode, exitCodes } from '../cli-errors.ts'
import { ago, bytes } from '../printable.ts'
import { named, type Style, titledTable } from '../table.ts'
import { type AskOptions, askNode } from './ask-node.ts'

/** `skrei node list`: the compute nodes that a node knows, with what of each is reserved. */
export const nodeList = (options: AskOptions): Promise<ExitCode> =>
  askNode(options, async ({ client, event, say, style, width, signal }) => {
    const [nodes, { nodeId }] = await Promise.all([client.nodes({ signal }), client.health({ signal })])
    event({ type: 'nodes', nodes } as { readonly type: string })
    if (nodes.length === 0) say(style('dim', 'no compute nodes are known'))
    else
      say(
        titledTable(
          ['node', 'engines', 'CPU', 'memory', 'disk', 'heard'],
          nodes.map((node) => row(node, nodeId, style)),
          style,
          { width, free: [1] },
        ),
      )
    return exitCodes.completed
  })

const row = ({ node, engines, capacity, free, issuedAt }: NodeSummary, asked: string, style: Style): readonly string[] => [
  node === asked ? style('bold', node) : named(node, 64),
  named(engines.map(({ name }) => name).join(' '), 24),
  `${(capacity.cpu - free.cpu) / 1000}/${capacity.cpu / 1000}`,
  `${bytes(capacity.memory - free.memory)}/${bytes(capacity.memory)}`,
  `${bytes(capacity.disk - free.disk)}/${bytes(capacity.disk)}`,
  node === asked ? 'this node' : ago(Date.now() - issuedAt),
]
