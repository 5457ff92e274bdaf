import { ApiError } from './api-error.ts'

/** The streams that are open: a bounded number. */
export interface Streams {
  /** Takes a place; what comes back gives it back, once. @throws ApiError `too-many-streams` */
  open(): () => void
}

export const createStreams = (limit: number): Streams => {
  let count = 0
  return {
    open: () => {
      if (count >= limit) throw new ApiError('too-many-streams', `${limit} streams are open`, { retryAfter: 5 })
      count += 1
      let open = true
      return () => {
        if (open) count -= 1
        open = false
      }
    },
  }
}
