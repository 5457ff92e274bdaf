import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import type { JobView } from '@skrei/scheduler'
import type { EmbeddedNode } from './embedded-node.ts'
import type { ResultDirectory } from './result-directory.ts'

export interface FetchOptions {
  readonly signal: AbortSignal
  readonly progress: (bytes: number) => void
}

const tellEvery = 4 * 1024 * 1024

/** Writes a job's result into a directory. A job that published nothing leaves its `result.json` alone. */
export const fetchResult = async (node: EmbeddedNode, job: JobView, into: ResultDirectory, { signal, progress }: FetchOptions): Promise<void> => {
  const publisher = job.reference && node.publisherOf(job.reference)
  if (job.reference === undefined || publisher === undefined) {
    const result = node.scheduler.result(job.id)
    writeFileSync(join(into.path, 'result.json'), `${JSON.stringify(result, null, 2)}\n`)
    return
  }
  let told = 0
  for await (const bytes of publisher.fetch(job.reference, into.path, { signal })) {
    if (bytes - told < tellEvery) continue
    told = bytes
    progress(bytes)
  }
}
