import { join } from 'node:path'
import { diskNodeFiles } from '../disk-node.ts'

/** What a killed node keeps, and what it tells who looks. */
export const homeOf = (folder: string) => ({
  ...diskNodeFiles(folder),
  key: join(folder, 'key'),
  published: join(folder, 'published'),
  wasm: join(folder, 'wasm'),
  /** Ids of accepted jobs, a line each, on disk before the next job is submitted. */
  accepted: join(folder, 'accepted'),
  /** What the node itself saw go wrong, a line each. */
  wrong: join(folder, 'wrong'),
})
