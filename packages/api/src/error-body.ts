import { ApiError, type ApiErrorCode, apiErrors } from './api-error.ts'
import type { ErrorBody } from './schema/problem.ts'

/** An error whose code is one of ours: an `ApiError`, also of another copy of this package, or what a service threw with such a code. */
export const asApiError = (error: unknown): ApiError | undefined => {
  if (error instanceof ApiError) return error
  if (!(error instanceof Error) || !('code' in error) || typeof error.code !== 'string' || !Object.hasOwn(apiErrors, error.code)) return undefined
  const path = 'path' in error && Array.isArray(error.path) && error.path.length > 0 ? error.path.join('.') : undefined
  return new ApiError(error.code as ApiErrorCode, error.message, path === undefined ? {} : { path })
}

/** What is told of an error. Of one that nobody foresaw only that it happened: its message may hold what is nobody's business. */
export const errorBody = (error: unknown): ErrorBody => {
  const { code, message, remedy, file, line, column, path, problems } = asApiError(error) ?? new ApiError('node-fault', 'something went wrong inside the node')
  return {
    error: {
      code,
      message,
      ...(remedy !== undefined && { remedy }),
      ...(file !== undefined && { file }),
      ...(line !== undefined && { line }),
      ...(column !== undefined && { column }),
      ...(path !== undefined && { path }),
      ...(problems !== undefined && { problems }),
    },
  }
}

/** Whether something was only broken off. */
export const isAbort = (error: unknown): boolean => error instanceof Error && error.name === 'AbortError'
