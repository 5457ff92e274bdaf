import type { MessageType } from '@skrei/protocol'
import type { OutboxEntry } from '@skrei/state-store'

/**
 * Of one object to one peer: what makes a message that has not left yet needless (PROTOCOL.md rule 10). The later one says that the object has moved on, in a way that its receiver
 * understands whether or not it ever heard the earlier one. What a receiver must have heard first is not here: `awarded` before `finished`.
 */
const madeNeedlessBy: Readonly<Partial<Record<MessageType, readonly MessageType[]>>> = {
  ask: ['release', 'ask'],
  bid: ['decline', 'refused', 'stopped'],
  award: ['stop'],
  awarded: ['stopped'],
  finished: ['stopped'],
  verdict: ['superseded', 'stop'],
  published: ['stopped'],
  'publish-failed': ['stopped'],
}

/** Of the messages that wait for one peer, in their order, those that a later one has made needless. */
export const staleOf = (entries: readonly OutboxEntry[]): ReadonlySet<OutboxEntry> => {
  const stale = new Set<OutboxEntry>()
  const later = new Map<string, Set<string>>()
  for (const entry of entries.toReversed()) {
    const { message } = entry.data as { readonly message: MessageType }
    const object = `${entry.kind} ${entry.id}`
    const said = later.get(object) ?? new Set()
    if (madeNeedlessBy[message]?.some((type) => said.has(type))) stale.add(entry)
    later.set(object, said.add(message))
  }
  return stale
}
