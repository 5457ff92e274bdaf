import type { Logger } from '@skrei/scheduler'

/** How long a peer may be away before it is told, and how long until it is told again. Milliseconds. */
const patience = { first: 5000, again: 600_000 }
const lookEvery = 2500

/** Tells the operator which of the peers that the configuration names are not reached, and that they are back. */
export interface PeerWatch {
  /** Why a peer was not reached, each time that it was tried. */
  failed(peer: string, error: unknown): void
  /** One look, which `start` has every few seconds. */
  look(isConnected: (peer: string) => boolean): void
  /** Looks until it is disposed of. */
  start(isConnected: (peer: string) => boolean): Disposable
}

interface Absence {
  readonly since: number
  error?: unknown
  toldAt?: number
}

/** `addresses`: multiaddrs with the peers' ids. `now`: monotonic, milliseconds. */
export const peerWatch = (given: { readonly addresses: readonly string[]; readonly logger: Logger; readonly now: () => number }): PeerWatch => {
  const { logger, now } = given
  const peers = Map.groupBy(given.addresses, (address) => address.slice(address.lastIndexOf('/') + 1))
  const absences = new Map<string, Absence>()

  const look: PeerWatch['look'] = (isConnected) => {
    for (const [peer, addresses] of peers) {
      const absence = absences.get(peer)
      if (isConnected(peer)) {
        absences.delete(peer)
        if (absence?.toldAt !== undefined) logger.info('a peer of the configuration is reached again', { peer, seconds: secondsSince(absence) })
        continue
      }
      if (absence === undefined) absences.set(peer, { since: now() })
      else if (isDue(absence)) {
        absence.toldAt = now()
        const error = absence.error === undefined ? undefined : messageOf(absence.error)
        logger.warn('a peer of the configuration is not reached: it is tried again and again', {
          peer,
          addresses,
          seconds: secondsSince(absence),
          ...(error !== undefined && { error }),
        })
      }
    }
  }
  const isDue = ({ since, toldAt }: Absence): boolean => (toldAt === undefined ? now() - since >= patience.first : now() - toldAt >= patience.again)
  const secondsSince = ({ since }: Absence): number => Math.round((now() - since) / 1000)

  return {
    failed: (peer, error) => {
      if (!peers.has(peer)) return
      const absence = absences.get(peer) ?? { since: now() }
      absence.error = error
      absences.set(peer, absence)
    },
    look,
    start: (isConnected) => {
      if (peers.size === 0) return { [Symbol.dispose]: () => undefined }
      const timer = setInterval(look, lookEvery, isConnected).unref()
      return { [Symbol.dispose]: () => clearInterval(timer) }
    },
  }
}

const messageOf = (error: unknown): string => (error instanceof Error ? error.message : String(error))
