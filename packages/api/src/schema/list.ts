import * as z from 'zod'

/** A list that is only read: its type takes read-only arrays, as the scheduler's views have them. */
export const list = <T extends z.ZodType>(item: T) => z.array(item).readonly()
