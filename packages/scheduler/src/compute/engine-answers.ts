import type { Task } from '@skrei/job-spec'
import type { Clock } from '@skrei/transport'
import { forgetOldest } from '../forget-oldest.ts'

/** Which tasks the engines would run, asked a moment ago: the shards of a job, and the jobs of a series, are the same task again and again. */
export interface EngineAnswers {
  /** Whether the engine was asked about an equal task just now, and had nothing against it. */
  wouldRun(task: Task): boolean
  keep(task: Task): void
}

/** An answer is good for so long; milliseconds. What changes meanwhile, the run finds out, as it does after a bid. */
const goodFor = 1000
const most = 64
/** A longer task is asked about each time; characters. */
const longest = 4096

export const createEngineAnswers = (clock: Pick<Clock, 'elapsed'>): EngineAnswers => {
  const askedAt = new Map<string, number>()
  return {
    wouldRun: (task) => {
      if (askedAt.size === 0) return false
      const at = askedAt.get(JSON.stringify(task))
      return at !== undefined && clock.elapsed() - at < goodFor
    },
    keep: (task) => {
      const key = JSON.stringify(task)
      if (key.length > longest) return
      askedAt.delete(key)
      askedAt.set(key, clock.elapsed())
      forgetOldest(askedAt, most)
    },
  }
}
