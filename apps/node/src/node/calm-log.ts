import type { Logger } from '@skrei/scheduler'

/** Of one peer, lines with the same message in one span. */
const ofPeer = 10
/** Of all peers together: identities cost nothing. */
const ofAll = 100
/** Milliseconds. */
const span = 60_000
/** Peers that are told apart within a span; the lines of others count for all. */
const mostPeers = 1024

interface Span {
  readonly until: number
  readonly peers: Map<string, number>
  lines: number
  dropped: number
}

/**
 * A log that peers cannot fill: of the lines about a peer (its id in `peer`, `from` or `to`), a bounded number with the same message goes through in a minute. How many were left out is told once the
 * next one goes through.
 */
export const calmLog = (log: Logger, now: () => number = () => performance.now()): Logger => {
  const spans = new Map<string, Span>()

  const spanOf = (level: 'info' | 'warn', message: string): Span => {
    const known = spans.get(message)
    if (known !== undefined && now() < known.until) return known
    if (known !== undefined && known.dropped > 0) log[level]('lines were left out: too many of one kind', { lines: known.dropped, message })
    const next = { until: now() + span, peers: new Map<string, number>(), lines: 0, dropped: 0 }
    spans.set(message, next)
    return next
  }

  const takes = (level: 'info' | 'warn', message: string, peer: string): boolean => {
    const current = spanOf(level, message)
    const lines = current.peers.get(peer) ?? 0
    if (lines >= ofPeer || current.lines >= ofAll) {
      current.dropped += 1
      return false
    }
    if (current.peers.size < mostPeers) current.peers.set(peer, lines + 1)
    current.lines += 1
    return true
  }

  const bounded =
    (level: 'info' | 'warn') =>
    (message: string, fields?: Readonly<Record<string, unknown>>): void => {
      const peer = fields?.['peer'] ?? fields?.['from'] ?? fields?.['to']
      if (typeof peer !== 'string' || takes(level, message, peer)) log[level](message, fields)
    }

  return { ...log, info: bounded('info'), warn: bounded('warn') }
}
