import { ApiError } from './api-error.ts'

/** Job files that are read at the same time may hold so many bytes together: one of a small size never waits for one that does not come. */
const maxBytes = 64 * 2 ** 20

/** What the bodies that are in memory hold together: a bounded number of bytes. */
export interface BodyBudget {
  /** @throws ApiError `too-many-requests` */
  take(bytes: number): void
  give(bytes: number): void
}

export const createBodyBudget = (): BodyBudget => {
  let held = 0
  return {
    take: (bytes) => {
      if (held + bytes > maxBytes) throw new ApiError('too-many-requests', `job files of ${maxBytes} bytes are being read`, { retryAfter: 1 })
      held += bytes
    },
    give: (bytes) => {
      held -= bytes
    },
  }
}
