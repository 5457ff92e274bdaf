/** SHA-256, lower-case hexadecimal. */
export type Digest = string
/** A node id. */
export type Seat = string
/**
 * What an accepted result rests on: a referee who ran it again, the agreement of a panel, a stake that would be lost, hardware that attests, or nothing
 * but the word of the node that ran it.
 */
export type Assurance = 'refereed' | 'quorum' | 'economic' | 'attested' | 'none'

/** What a job asks of its verification. */
export interface Policy {
  /** Seats per shard, at least. */
  readonly replicas: number
  /** Shards of the job: an error target is the job's, and divided among them. */
  readonly shards: number
  /** The probability, for the whole job, with which a wrong result may be accepted. */
  readonly errorTarget?: number
  /** The share of bidders that may work together against the job. */
  readonly adversaryShare?: number
}

/** How many seats a shard's panel has, and the rule by which they decide. */
export interface Plan {
  readonly seats: number
  /** Replacements included. */
  readonly maxSeats: number
  readonly rule: 'all' | 'quorum' | 'margin'
  /** Whether a requester may choose the nodes by rank; otherwise they are drawn. */
  readonly ranked: boolean
  /** The probability with which a wrong result is accepted: 1 = nothing is checked. */
  readonly bound: number
}

/** What is known of one seat. */
export interface SeatState {
  readonly node: Seat
  readonly committed: boolean
  readonly revealed?: { readonly digest: Digest; readonly exit: number }
  /** It did not do its part in time, or said that it will not. */
  readonly absent: boolean
}

/** All that a decision is made from: seats of earlier attempts too, in the order in which they were drawn. */
export interface Round {
  readonly plan: Plan
  readonly seats: readonly SeatState[]
  readonly commitsClosed: boolean
  readonly revealsClosed: boolean
  /** A referee can be asked, or has found this digest. */
  readonly referee?: 'available' | Digest
}

/** What to do next with a shard. */
export type Decision =
  /** Wait for seats; ask them to reveal; ask the referee. */
  | { readonly type: 'wait' | 'open' | 'referee' }
  /** Seat so many more nodes. */
  | { readonly type: 'seat'; readonly count: number }
  /** Give up without a verdict on anyone: `code` says why. */
  | { readonly type: 'void'; readonly code: string }
  /** Take this result, and let this seat publish it. */
  | { readonly type: 'accept'; readonly digest: Digest; readonly assurance: Assurance; readonly bound: number; readonly publisher: Seat }

/** A way to decide whether a shard's result is right. Pure: the same round gives the same decision, anywhere. */
export interface Method {
  readonly name: string
  plan(policy: Policy): Plan
  decide(round: Round): Decision
}
