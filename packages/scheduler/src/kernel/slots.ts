import { type AnyDraft, type Incarnation, type MessageType, slotOf } from '@skrei/protocol'
import type { Data, Row } from '@skrei/state-store'
import type { Filling, SendOutput } from './event.ts'

/**
 * The slots that an object's messages have filled (PROTOCOL.md rule 5). They are kept in the object's own row, so that they are as durable as what the messages changed, cost
 * no row of their own, and end with the object.
 */
export interface Slots {
  /** By slot: the digest of what the peer said. One that ends in `!` was contradicted, which is in the history once. */
  readonly heard: Readonly<Record<string, string>>
  /** By slot: what this node said, and as which of its incarnations. The same bytes can be made from it again. */
  readonly said: Readonly<Record<string, { readonly by: Incarnation; readonly body: Data }>>
}

const none: Slots = { heard: {}, said: {} }
/** An honest execution has about ten. */
const mostSlots = 64
/** What is longer than this is said once and never again; characters. */
const longestKept = 512

/** Not the machine's: it lies beside the context, and passes through. */
export const slotsOf = (data: Data | undefined): Slots => (data as { readonly slots?: Slots } | undefined)?.slots ?? none

/** A slot within one object: its id is left out. */
export const slotIn = (objectId: string, message: Pick<AnyDraft, 'from' | 'to' | 'type' | 'body'>): string => {
  const [, , subject, type, round] = slotOf(message)
  return `${type}${subject === objectId ? '' : ` ${subject}`}${round === 0 ? '' : ` ${round}`}`
}

/** Whether a message says something new, the same again, something else than before, or more than anybody has to say. */
export const judge = ({ heard }: Slots, { slot, digest }: Filling): 'new' | 'repeated' | 'equivocation' | 'contradicted' | 'too-many' => {
  const before = Object.hasOwn(heard, slot) ? heard[slot] : undefined
  if (before === undefined) return Object.keys(heard).length < mostSlots ? 'new' : 'too-many'
  if (before === digest || before === `${digest}!`) return 'repeated'
  return before.endsWith('!') ? 'contradicted' : 'equivocation'
}

/** What answers what: a message that comes again is answered again, in the same bytes. */
const answers: Readonly<Partial<Record<string, readonly MessageType[]>>> = {
  ask: ['bid', 'decline'],
  bid: ['release'],
  award: ['awarded', 'refused'],
  stop: ['stopped'],
  verdict: ['published', 'publish-failed', 'stopped'],
  finished: ['verdict', 'stop', 'settle'],
  awarded: ['stop'],
  published: ['settle', 'superseded'],
  'publish-failed': ['superseded'],
}
/** Who asks again waits now. */
const repeatedFor = 60_000

export const answersAgain = ({ said }: Slots, slot: string, to: string): readonly { readonly output: SendOutput; readonly by: Incarnation }[] => {
  const [asked = ''] = slot.split(' ')
  return Object.entries(said).flatMap(([key, { by, body }]) => {
    const [type = ''] = key.split(' ')
    const isAnswer = answers[asked]?.some((one) => one === type) && (asked !== 'bid' || key.split(' ')[1] === slot.split(' ')[1])
    return isAnswer ? [{ output: { do: 'send', to, type, body, expires: repeatedFor } as unknown as SendOutput, by }] : []
  })
}

/** Collects what one step of an object fills. */
export const fillSlots = (row: Pick<Row, 'id' | 'data'> | undefined, id: string, self: Incarnation) => {
  const before = slotsOf(row?.data)
  // Copies of its own, from the first change on.
  let heard: Record<string, string> | undefined
  let said: Record<string, Slots['said'][string]> | undefined
  return {
    hear: (slot: string, digest: string): void => {
      heard ??= { ...before.heard }
      heard[slot] = digest
    },
    /** As whom and with what body a message leaves: a slot that is filled stays as it is. */
    say: (output: SendOutput): { readonly output: SendOutput; readonly by: Incarnation } => {
      const slot = slotIn(id, { from: '', ...output } as unknown as AnyDraft)
      const all = said ?? before.said
      const kept = Object.hasOwn(all, slot) ? all[slot] : undefined
      if (kept) return { output: { ...output, body: kept.body } as unknown as SendOutput, by: kept.by }
      if (Object.keys(all).length < mostSlots && JSON.stringify(output.body).length <= longestKept) {
        said ??= { ...before.said }
        said[slot] = { by: self, body: output.body as unknown as Data }
      }
      return { output, by: self }
    },
    /** The data with its slots; `keeps` says of an object with many subjects which it still speaks about. */
    into: (data: Data, keeps?: (subject: string) => boolean): Data => {
      if (heard === undefined && said === undefined && slotsOf(data) === before) return data
      const still = <T>(slots: Readonly<Record<string, T>>): Readonly<Record<string, T>> =>
        keeps ? Object.fromEntries(Object.entries(slots).filter(([slot]) => keeps(slot.split(' ')[1] ?? ''))) : slots
      return { ...(data as object), slots: { heard: still(heard ?? before.heard), said: still(said ?? before.said) } } as unknown as Data
    },
    changed: (): boolean => heard !== undefined || said !== undefined,
  }
}
