/** SHA-256, lower-case hexadecimal. */
export type Digest = string
/** A node id. */
export type Seat = string
export type Assurance = 'refereed' | 'quorum' | 'economic' | 'attested' | 'none'

export interface Policy {
  readonly replicas: number
  readonly shards: number
  readonly errorTarget?: number
  readonly adversaryShare?: number
}

/** How many seats a shard's panel has, and the rule by which they decide. `bound`: the probability that a wrong result is accepted. */
export interface Plan {
  readonly seats: number
  readonly maxSeats: number
  readonly rule: 'all' | 'quorum' | 'margin'
  readonly ranked: boolean
  readonly bound: number
}

/** What is known of one seat. */
export interface SeatState {
  readonly node: Seat
  readonly committed: boolean
  readonly revealed?: { readonly digest: Digest; readonly exit: number }
  readonly absent: boolean
}

export interface Round {
  readonly plan: Plan
  readonly seats: readonly SeatState[]
  readonly commitsClosed: boolean
  readonly revealsClosed: boolean
  readonly referee?: 'available' | Digest
}

export type Decision =
  | { readonly type: 'wait' | 'open' | 'referee' }
  | { readonly type: 'seat'; readonly count: number }
  | { readonly type: 'void'; readonly code: string }
  | { readonly type: 'accept'; readonly digest: Digest; readonly assurance: Assurance; readonly bound: number; readonly publisher: Seat }

/** A way to decide whether a shard's result is right. Pure. */
export interface Method {
  readonly name: string
  plan(policy: Policy): Plan
  decide(round: Round): Decision
}
