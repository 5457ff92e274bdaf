export {
  ApiError,
  type ApiErrorCode,
  type ApiErrorDetails,
  type ApiErrorKind,
  apiErrors,
  type ClientErrorCode,
  clientErrors,
} from './api-error.ts'
export type { JobsWhere, LogsOptions, NodeService, ResultFile, ShardsPage, TreeFile } from './node-service.ts'
export * from './schema/blob.ts'
export * from './schema/history.ts'
export * from './schema/job.ts'
export * from './schema/log.ts'
export * from './schema/node.ts'
export * from './schema/plan.ts'
export * from './schema/problem.ts'
