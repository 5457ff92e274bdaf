import type { BodyBudget } from './body-budget.ts'
import type { RouteName } from './endpoints.ts'
import type { ApiRequest } from './exchange.ts'
import type { Limits } from './limits.ts'
import type { NodeService } from './node-service.ts'
import type { HeadersOf, QueryOf } from './routes.ts'
import type { Streams } from './streams.ts'

/** One request to a route, checked. */
export interface Call<K extends RouteName> {
  readonly request: ApiRequest
  readonly service: NodeService
  readonly limits: Limits
  readonly streams: Streams
  readonly bodies: BodyBudget
  /** Aborted when the API closes: whoever waits is answered. */
  readonly closing: AbortSignal
  /** Tells the node of what went wrong inside it, where the answer has begun or is right all the same. */
  readonly fault: (error: unknown) => void
  /** As it stands in the path. */
  readonly id: string
  /** What stands for the rest of the path. */
  readonly path: string
  readonly query: QueryOf<K>
  readonly headers: HeadersOf<K>
}
