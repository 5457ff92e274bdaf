import { type CliEvent, isFinal, type ShardState } from './job-events.ts'

export interface OpenShard {
  readonly state: ShardState
  readonly since: number
  /** Between 0 and 1; absent = unknown. */
  readonly fraction?: number
}

/** What the display knows of a job: counts, and the shards that are not over; never more than the open window, however many shards there are. */
export interface ProgressModel {
  readonly name: string
  readonly state: string
  readonly startedAt: number
  readonly total: number | undefined
  readonly completed: number
  readonly failed: number
  readonly open: ReadonlyMap<number, OpenShard>
}

export const progressModel = (now: () => number) => {
  const open = new Map<number, OpenShard>()
  const model = { name: 'job', state: 'starting', startedAt: now(), total: undefined as number | undefined, completed: 0, failed: 0, open }
  return {
    model: model as ProgressModel,
    apply: (event: CliEvent): void => {
      if (event.type === 'submitted') model.name = event.name
      else if (event.type === 'job') model.state = event.state
      else if (event.type === 'planned') model.total = event.shards
      else if (event.type === 'uploading') model.state = 'uploading'
      else if (event.type === 'fetching') model.state = 'fetching'
      else if (event.type === 'progress') {
        const shard = open.get(event.shard)
        if (shard !== undefined)
          open.set(event.shard, { state: shard.state, since: shard.since, ...(event.fraction !== undefined && { fraction: event.fraction }) })
      } else if (event.type === 'shard' && isFinal(event.state)) {
        open.delete(event.shard)
        if (event.state === 'completed') model.completed += 1
        if (event.state === 'failed') model.failed += 1
      } else if (event.type === 'shard') open.set(event.shard, { state: event.state, since: now() })
    },
  }
}
