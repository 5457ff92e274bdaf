import * as z from 'zod'

/** A label selector as in Kubernetes: `region in (eu, us)`, `!spot`, `tier=gold`. */
export const selectorSchema = z.string().min(1).max(1024)
