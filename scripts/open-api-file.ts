import { openApiDocument } from '../packages/api/src/open-api.ts'

/** packages/api/openapi.json. */
export const openApiFile = (): string => `${JSON.stringify(openApiDocument(), undefined, 2)}\n`
