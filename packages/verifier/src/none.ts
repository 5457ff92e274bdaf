import type { Method } from './method.ts'

/**
 * Believes the first node: one seat, no check, `assurance: none`. The bound says so: a wrong result is accepted with certainty.
 *
 * Of several seats (earlier attempts) the first that has revealed is believed. When all are absent, the round is void with code `absent`.
 */
export const none: Method = {
  name: 'none',
  plan: () => ({ seats: 1, maxSeats: 1, rule: 'all', ranked: true, bound: 1 }),
  decide: ({ seats }) => {
    if (seats.length === 0) return { type: 'seat', count: 1 }
    const believed = seats.find((seat) => seat.revealed !== undefined)
    if (believed?.revealed) return { type: 'accept', digest: believed.revealed.digest, assurance: 'none', bound: 1, publisher: believed.node }
    return seats.some((seat) => !seat.absent) ? { type: 'wait' } : { type: 'void', code: 'absent' }
  },
}
