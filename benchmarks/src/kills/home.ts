import { join } from 'node:path'

/** What a killed node keeps, and what it tells who looks. */
export const homeOf = (folder: string) => ({
  state: join(folder, 'state.sqlite'),
  key: join(folder, 'key'),
  workspace: join(folder, 'workspace'),
  published: join(folder, 'published'),
  wasm: join(folder, 'wasm'),
  /** Ids of accepted jobs, a line each, on disk before the next job is submitted. */
  accepted: join(folder, 'accepted'),
  /** What the node itself saw go wrong, a line each. */
  wrong: join(folder, 'wrong'),
})
