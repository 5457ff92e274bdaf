import type { Method } from './method.ts'

/** Believes the first node: one seat, no check, `assurance: none`. The bound says so: a wrong result is accepted with certainty. */
export const none: Method = {
  name: 'none',
  plan: () => ({ seats: 1, maxSeats: 1, rule: 'all', ranked: true, bound: 1 }),
  decide: ({ seats }) => {
    const revealed = seats.find((seat) => seat.revealed !== undefined)
    if (revealed?.revealed) return { type: 'accept', digest: revealed.revealed.digest, assurance: 'none', bound: 1, publisher: revealed.node }
    return seats.some((seat) => !seat.absent) ? { type: 'wait' } : { type: 'void', code: 'absent' }
  },
}
