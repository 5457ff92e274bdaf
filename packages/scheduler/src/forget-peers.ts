import type { Data, Row, Transaction } from '@skrei/state-store'

export interface PeerForgetter {
  /**
   * Looks at the next few peers, and removes those of whom nothing was heard for so long. Returns whether there are more to look at now.
   *
   * @param running nodes that run something for this one
   */
  sweep(transaction: Transaction, now: number, most: number, running: { has(node: string): boolean }): boolean
}

/**
 * Of a peer, the newest incarnation is remembered (PROTOCOL.md rule 6), and forgotten once nothing was heard from it for the time that executions are kept, unless it has a part in
 * one that is not over. That is safe, because of what the row is for: to tell what a peer said before it restarted, and two nodes with one key, from the peer. What a peer wrote is
 * not sent later than half that time after it was written, so nothing from before is on its way any more; and of two nodes with one key neither has spoken for that long: whichever
 * speaks first is heard as a new peer is, and once the other speaks too, they are compared as ever. What they say is about objects, which keep their own slots: nothing that was
 * said can be unsaid.
 */
export const createPeerForgetter = ({
  keep,
  heardAt,
}: {
  /** Milliseconds. */
  readonly keep: number
  /** When a peer was last heard from in this run of the node; undefined where that is not known. */
  readonly heardAt: (peer: string) => number | undefined
}): PeerForgetter => {
  let after: string | undefined

  // The parent of what runs here is its requester.
  const asks = (transaction: Transaction, peer: string): boolean => transaction.list('compute', { parent: peer, open: true, limit: 1 }).length > 0

  const look = (transaction: Transaction, row: Row, now: number, running: { has(node: string): boolean }): void => {
    const data = row.data as { readonly at?: number }
    const at = Math.max(data.at ?? now, heardAt(row.id) ?? 0)
    if (now - at >= keep && !running.has(row.id) && !asks(transaction, row.id)) {
      transaction.remove('peer', row.id)
      return
    }
    // When it was heard is in memory alone; now and then it is written down, so that a restart does not make all peers young, nor this one old.
    if (data.at === undefined || at - data.at > keep / 4) transaction.put({ ...row, version: row.version + 1, data: { ...data, at } as unknown as Data })
  }

  return {
    sweep: (transaction, now, most, running) => {
      const rows = transaction.list('peer', { ...(after !== undefined && { after }), limit: most })
      for (const row of rows) look(transaction, row, now, running)
      after = rows.length < most ? undefined : rows.at(-1)?.id
      return after !== undefined
    },
  }
}
