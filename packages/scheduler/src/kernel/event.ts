import type { Body, MessageType } from '@skrei/protocol'
import type { Data, Row } from '@skrei/state-store'

/** What a machine receives. `type` names it; the rest is its payload, plain data. */
export interface ObjectEvent {
  readonly type: string
  readonly [field: string]: unknown
}

/** What a message fills, and with what. */
export interface Filling {
  readonly slot: string
  readonly digest: string
}

/** Something that happened to one object: a message, a deadline, the result of an effect, a wish of the user. */
export interface KernelEvent {
  readonly kind: string
  readonly id: string
  readonly event: ObjectEvent
  /** Who caused it: a node id, `clock`, `user`, or the effect's type. Only for history. */
  readonly actor: string
  /** Rows without a machine (specs, manifests) that are written in the same transaction. */
  readonly records?: readonly Row[]
  /** Of a message: the slot that it fills. */
  readonly fills?: Filling
}

/** What a machine asks for, as data: nothing of it happens before the transaction that wrote it is durable. */
export type Output =
  /** Something in the world; its result comes back as an event to the same object. */
  | { readonly do: 'effect'; readonly type: string; readonly data: Data }
  /** A message to a node (itself included), dropped after `expires` milliseconds. */
  | SendOutput
  /** An event to another object of this node, handled in the same transaction. */
  | { readonly do: 'tell'; readonly kind: string; readonly id: string; readonly event: ObjectEvent }

export type SendOutput = {
  [T in MessageType]: { readonly do: 'send'; readonly to: string; readonly type: T; readonly body: Body<T>; readonly expires: number }
}[MessageType]

/** Where messages to a peer wait, in their order. */
export const laneOf = (peer: string): string => `send ${peer}`

/** One change of one object, told to watchers once it is durable. */
export interface Transition {
  readonly kind: string
  readonly id: string
  readonly at: number
  readonly event: ObjectEvent
  readonly actor: string
  readonly from?: string
  readonly to: string
  readonly context: Data
  readonly open: boolean
}
