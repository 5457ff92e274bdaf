import type { JobSpec, ResolvedJob } from '@skrei/job-spec'
import type { OutboxEntry, Row, StateStore } from '@skrei/state-store'
import type { Publisher, Source, Workspace } from '@skrei/storage'
import type { Clock } from '@skrei/transport'
import type { Method } from '@skrei/verifier'
import { failureFrom } from '../compute/run.ts'
import { createFairPool } from '../fair-pool.ts'
import type { ObjectEvent } from '../kernel/event.ts'
import type { Performer } from '../kernel/outbox.ts'
import type { ExecutionContext } from '../machines/execution.ts'
import type { JobContext } from '../machines/job.ts'
import type { Settings } from '../settings.ts'
import { SubmitError } from '../submit-error.ts'
import { jobOf } from './facts.ts'
import { locateInputs } from './holders.ts'
import { createLogFetcher } from './logs.ts'
import { type Planned, plan } from './manifest.ts'
import { match, mostPublished } from './match.ts'
import { resultEntries } from './result.ts'
import type { Specs } from './specs.ts'

export interface RequesterRoleWorld {
  readonly clock: Clock
  readonly store: StateStore
  readonly specs: Specs
  readonly sources: ReadonlyMap<string, Source>
  readonly publishers: ReadonlyMap<string, Publisher>
  readonly workspace: Workspace
}

/** The effects of the requester's role: plan, match, compose. */
export const requesterPerformers = (world: RequesterRoleWorld): Readonly<Record<'plan' | 'abort' | 'match' | 'compose', Performer>> => {
  const { clock, store, specs, sources, publishers, workspace } = world
  // Fair by node: one whose publications cannot be fetched holds up the others little.
  const matches = createFairPool({ atOnce: 16, ofOne: 4 })
  return {
    plan: async ({ id }, { signal, report }) => {
      const { resolved } = store.read((reader) => specs.get(reader, id))
      const locating = locateInputs(resolved.inputs, sources, clock, { signal })
      locating.catch(() => {})
      const planned = await plan(id, resolved, sources, (records) => report([{ kind: 'job', id, event: { type: 'planning' }, actor: 'plan', records }]), {
        signal,
      })
      const holders = await locating
      return { type: 'planned', total: planned.total, manifest: planned.manifest, ...(holders.length > 0 && { holders }) }
    },
    /** Interrupts the plan, by being in its lane. */
    abort: () => Promise.resolve(undefined),
    match: (entry, { signal }) => {
      const row = store.read((reader) => reader.get('execution', entry.id))
      if (row === undefined) throw new Error(`no execution ${entry.id}`)
      const { node, shardId } = row.data as unknown as ExecutionContext
      const { task } = store.read((reader) => specs.get(reader, jobOf(shardId)))
      return matches.run(node, () => match(entry, publishers, workspace, mostPublished(task), { signal }), { signal })
    },
    compose: async ({ id }, { signal }) => {
      const { publishers: wanted, limits } = store.read((reader) => specs.get(reader, id)).resolved
      const publisher = publishers.get(wanted[0]?.type ?? 'none')
      if (publisher === undefined) return { type: 'composed', reference: { type: 'none' } }
      const logs = createLogFetcher({ publisher, workspace, clock, limits }, { signal })
      try {
        return { type: 'composed', reference: await publisher.compose(id, resultEntries(store.read, id, logs), { signal }) }
      } finally {
        await logs.close()
      }
    },
  }
}

/** Of a job without inputs, what `plan` would come to: all is known where it is submitted, and no source is asked. */
export const planWithoutInputs = async (
  id: string,
  resolved: ResolvedJob,
): Promise<{ readonly planned: Planned; readonly records: readonly Row[] } | undefined> => {
  if (resolved.inputs.length > 0) return undefined
  const records: Row[] = []
  const keep = (rows: readonly Row[]): Promise<void> => {
    records.push(...rows)
    return Promise.resolve()
  }
  const { total, manifest } = await plan(id, resolved, new Map(), keep, { signal: new AbortController().signal })
  return { planned: { total, manifest }, records }
}

/** What an effect of the requester's role comes to when it throws. */
export const requesterFailed = (entry: OutboxEntry, error: unknown): ObjectEvent | undefined => {
  switch (entry.type) {
    case 'plan':
      return { type: 'plan-failed', failure: failureFrom(error) }
    case 'match':
      return { type: 'mismatched', failure: failureFrom(error, 'publish-failed') }
    case 'compose':
      return { type: 'compose-failed', failure: failureFrom(error, 'publish-failed') }
    default:
      return undefined
  }
}

/** The state of a job that has just been accepted. */
export const newJob = (id: string, specCid: string, resolved: ResolvedJob, settings: Settings, now: number): JobContext => ({
  id,
  name: resolved.name,
  specCid,
  submittedAt: now,
  endBy: now + resolved.timeouts.total,
  tolerate: resolved.partial.policy === 'best-effort' ? resolved.partial.tolerate : 0,
  window: settings.window,
  times: { compose: settings.publish, stop: settings.lease * (1 + settings.drift) + settings.stop },
  shards: { total: 0, opened: 0, active: 0, completed: 0, failed: 0, cancelled: 0 },
  cancelled: false,
})

/** Refuses at once what no network of this kind could do. */
export const checkSubmittable = (spec: JobSpec, resolved: ResolvedJob, methods: ReadonlyMap<string, Method>, knownNodes: number): void => {
  const { method, replicas } = resolved.verification
  const known = methods.get(method)
  const seats = known?.plan({ replicas, shards: 1 }).seats ?? replicas
  if (seats > Math.max(1, knownNodes)) {
    const remedy =
      known === undefined
        ? `${method} is not built yet anyway: use verification.method none`
        : `lower verification.replicas, or submit the job to a network of at least ${seats} nodes`
    throw new SubmitError('not-enough-nodes', `verification needs ${seats} different nodes for each shard, this network has ${knownNodes}; ${remedy}`, [
      'verification',
      spec.verification?.replicas === undefined ? 'method' : 'replicas',
    ])
  }
  if (known === undefined) throw new SubmitError('not-built', `verification.method ${method} is not built yet: use none`, ['verification', 'method'])
  if (resolved.publishers.length > 1) throw new SubmitError('not-built', 'several publishers are not built yet: name one', ['publisher'])
}
