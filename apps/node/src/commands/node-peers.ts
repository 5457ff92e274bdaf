import type { PeerSummary } from '@skrei/api/client'
import { type ExitCode, exitCodes } from '../cli-errors.ts'
import { ago } from '../printable.ts'
import { named, type Style, titledTable } from '../table.ts'
import { type AskOptions, askNode } from './ask-node.ts'

/** `skrei node peers`: whom a node is connected to, or should be. */
export const nodePeers = (options: AskOptions): Promise<ExitCode> =>
  askNode(options, async ({ client, event, say, style, width, signal }) => {
    const peers = await client.peers({ signal })
    event({ type: 'peers', peers } as { readonly type: string })
    if (peers.length === 0) say(style('dim', 'no peers: none is configured, and none has dialled this node'))
    else
      say(
        titledTable(
          ['peer', 'connected', 'round trip', 'address'],
          peers.map((peer) => row(width === undefined ? peer : withoutId(peer), style)),
          style,
          { width, free: [3] },
        ),
      )
    return exitCodes.completed
  })

/** The id that ends each address stands in the row already. */
const withoutId = (peer: PeerSummary): PeerSummary => ({ ...peer, addresses: peer.addresses.map((address) => address.replace(`/p2p/${peer.node}`, '')) })

const row = ({ node, connected, direction, roundTripMs, connectedAt, addresses }: PeerSummary, style: Style): readonly string[] => [
  named(node, 64),
  connected ? `${direction ?? 'yes'}${connectedAt === undefined ? '' : `, ${ago(Date.now() - connectedAt)}`}` : style('red', 'no'),
  roundTripMs === undefined ? '' : `${roundTripMs.toFixed(1)} ms`,
  named(addresses.join(' '), 160),
]
