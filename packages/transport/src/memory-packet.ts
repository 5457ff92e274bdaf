/** What a packet carries. A send is one packet however many messages it holds; an `answer` acknowledges it or says why not. */
export type PacketType = 'send' | 'answer' | 'hint' | 'query' | 'chunk' | 'cancel' | 'topic'

/**
 * What became of a packet: `lost` by chance, `cut` by a partition or block (when sent or on arrival), `vanished` because one of the two ends crashed meanwhile.
 */
export type PacketFate = 'delivered' | 'lost' | 'cut' | 'vanished'

/** A packet at the moment its fate is decided. `at` in milliseconds of the clock, `bytes` the payload's length. */
export interface PacketRecord {
  readonly at: number
  readonly from: string
  readonly to: string
  readonly type: PacketType
  readonly bytes: number
  readonly fate: PacketFate
}

/** What a node (or all of them) has sent, and what became of it. Every packet ends as one of delivered, lost, cut or vanished, a duplicated one twice. */
export interface NetworkCounters {
  sends: number
  /** Messages in those sends. */
  messages: number
  hints: number
  queries: number
  publications: number
  /** Packets of any type, answers and chunks included. */
  packets: number
  /** Payload bytes in those packets. */
  bytes: number
  delivered: number
  lost: number
  cut: number
  vanished: number
  duplicated: number
}
