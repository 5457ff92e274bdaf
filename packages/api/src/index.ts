export {
  ApiError,
  type ApiErrorCode,
  type ApiErrorDetails,
  type ApiErrorKind,
  apiErrors,
  type ClientErrorCode,
  clientErrors,
} from './api-error.ts'
export { type Api, type ApiOptions, createApi } from './create-api.ts'
export type { ApiAnswer, ApiRequest } from './exchange.ts'
export type { GuardOptions } from './guard.ts'
export type { ApiLimits } from './limits.ts'
export type { JobsWhere, LogsOptions, NodeService, ResultFile, ShardsPage, TreeFile } from './node-service.ts'
export { openApiDocument } from './open-api.ts'
export * from './schema/blob.ts'
export * from './schema/history.ts'
export * from './schema/job.ts'
export * from './schema/log.ts'
export * from './schema/node.ts'
export * from './schema/plan.ts'
export * from './schema/problem.ts'
export { type ApiServer, type ServeOptions, serveApi } from './serve-api.ts'
export { readTree } from './tree-reader.ts'
