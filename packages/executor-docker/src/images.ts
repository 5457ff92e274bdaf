import { lookup } from 'node:dns/promises'
import type { AbortOptions } from '@skrei/executor'
import { type DockerEngineSpec, FailureError, globMatcher, type Refusal } from '@skrei/job-spec'
import { isPublicAddress } from '@skrei/job-spec/public-address'
import { credentialsFor } from './credentials.ts'
import { type EngineClient, type EngineImage, engineStatus, type PullStep, type RegistryCredentials } from './engine-client.ts'
import { type ImageReference, parseImageReference } from './image-reference.ts'
import type { ImageOptions } from './options.ts'

export interface Images {
  /** Why a container of this image would not run here; `[]` = it would. Asks the registry where the image is not here. */
  assess(spec: DockerEngineSpec, options?: AbortOptions): Promise<readonly Refusal[]>
  /** The image, pulled where the job and the node want that. Rejects with a `FailureError` where it cannot be had. What an assessment has just found is believed, unless `anew`. */
  ensure(
    spec: DockerEngineSpec,
    options: AbortOptions & { readonly progress: (done: number, total: number) => void; readonly anew?: boolean },
  ): Promise<EngineImage>
}

/** How long a registry's answer to whether it has an image is believed, that it gave none, and how long it is waited for. */
const believed = 60_000
const silentFor = 5_000
const answerTime = 10_000
const mostKnown = 256
/** How long an image that an assessment found here is taken to be here still: from the bid to the start. Who changes what a name means assesses after it. */
const foundFor = 5_000

export const images = (engine: EngineClient, options: ImageOptions = {}): Images => {
  const allowed = options.allow?.map((pattern) => globMatcher(pattern))
  const timeout = options.timeout ?? 600_000
  const mayPull = options.pull ?? true
  const known = new Map<string, { readonly at: number; readonly refusals: readonly Refusal[] }>()
  const found = new Map<string, { readonly at: number; readonly image: EngineImage }>()

  /** A pattern without tag or digest allows all of them. */
  const isAllowed = ({ full, registry, repository }: ImageReference): boolean =>
    allowed === undefined || allowed.some((matches) => matches(full) || matches(`${registry}/${repository}`))

  /** A stranger's job does not make the engine speak to this machine, or to its network. */
  const isOutside = async ({ registry }: ImageReference): Promise<boolean> => {
    if (options.privateRegistries === true || registry === 'docker.io') return true
    // Of a name that leads nowhere the engine says so itself.
    const found = await lookup(registry.replace(/:\d+$/, ''), { all: true }).catch(() => [])
    return found.every(({ address }) => isPublicAddress(address))
  }

  const credentials = async ({ registry }: ImageReference): Promise<RegistryCredentials | undefined> =>
    options.credentialsFile === undefined ? undefined : credentialsFor(registry, options.credentialsFile)

  const askRegistry = async (reference: ImageReference, signal: AbortSignal | undefined): Promise<readonly Refusal[]> => {
    const before = known.get(reference.wanted)
    if (before !== undefined && performance.now() - before.at < (before.refusals.some(({ code }) => code === 'assess-failed') ? silentFor : believed))
      return before.refusals
    const limit = AbortSignal.timeout(answerTime)
    try {
      await engine.manifest(reference.wanted, await credentials(reference), { signal: signal === undefined ? limit : AbortSignal.any([signal, limit]) })
      remember(reference, [])
      return []
    } catch (error) {
      signal?.throwIfAborted()
      if (engineStatus(error) === undefined && !limit.aborted) throw error
      const failure = pullFailure(reference, error, limit.aborted)
      const refusals: readonly Refusal[] = [
        { code: failure.code === 'source-not-found' || failure.code === 'source-refused' ? 'image-missing' : 'assess-failed', detail: failure.failure.detail },
      ]
      remember(reference, refusals)
      return refusals
    }
  }
  const remember = ({ wanted }: ImageReference, refusals: readonly Refusal[]): void => put(known, wanted, { at: performance.now(), refusals })

  const find = async ({ wanted }: ImageReference, signal: AbortSignal | undefined): Promise<boolean> => {
    const at = performance.now()
    const image = await engine.image(wanted, { ...(signal && { signal }) })
    if (image === undefined) found.delete(wanted)
    else put(found, wanted, { at, image })
    return image !== undefined
  }
  const justFound = ({ wanted }: ImageReference): EngineImage | undefined => {
    const last = found.get(wanted)
    return last !== undefined && performance.now() - last.at < foundFor ? last.image : undefined
  }

  return {
    assess: async (spec, { signal } = {}) => {
      const reference = parseImageReference(spec.image)
      if (reference === undefined) return [{ code: 'task-unsupported', detail: `engine.image is no name of an image: ${spec.image}` }]
      if (!isAllowed(reference)) return [{ code: 'policy', detail: `this node does not run the image ${reference.full}` }]
      const pull = spec.pull ?? 'missing'
      if (pull === 'always' && !mayPull) return [{ code: 'policy', detail: 'this node pulls no images, and engine.pull is always' }]
      if (pull !== 'always' && (await find(reference, signal))) return []
      if (pull === 'never') return [{ code: 'image-missing', detail: `the image ${reference.full} is not on this node, and engine.pull is never` }]
      if (!mayPull) return [{ code: 'image-missing', detail: `the image ${reference.full} is not on this node, which pulls none` }]
      if (!(await isOutside(reference))) return [{ code: 'policy', detail: insideDetail(reference) }]
      return askRegistry(reference, signal)
    },

    ensure: async (spec, { signal, progress, anew = false }) => {
      const reference = parseImageReference(spec.image)
      if (reference === undefined) throw new FailureError('task-invalid', `engine.image is no name of an image: ${spec.image}`)
      if (!isAllowed(reference)) throw new FailureError('task-invalid', `this node does not run the image ${reference.full}`)
      const pull = spec.pull ?? 'missing'
      const held = pull === 'always' ? undefined : ((anew ? undefined : justFound(reference)) ?? (await engine.image(reference.wanted)))
      if (held !== undefined) return held
      if (pull === 'never' || !mayPull) throw new FailureError('source-not-found', `the image ${reference.full} is not on this node, and is not pulled`)
      if (!(await isOutside(reference))) throw new FailureError('task-invalid', insideDetail(reference))
      const limit = AbortSignal.timeout(timeout)
      try {
        const layers = new Map<string, { done: number; total: number }>()
        const steps = engine.pull(reference.wanted, await credentials(reference), { signal: signal === undefined ? limit : AbortSignal.any([signal, limit]) })
        for await (const step of steps) if (count(layers, step)) progress(sum(layers, 'done'), sum(layers, 'total'))
      } catch (error) {
        signal?.throwIfAborted()
        if (engineStatus(error) === undefined && !limit.aborted) throw error
        throw pullFailure(reference, error, limit.aborted, timeout)
      }
      const image = await engine.image(reference.wanted)
      if (image === undefined) throw new FailureError('source-not-found', `the engine pulled ${reference.full} and does not have it`)
      return image
    },
  }
}

const insideDetail = ({ registry }: ImageReference): string => `this node pulls nothing from ${registry}: its address is not public`

/** The newest of them. */
const put = <T>(into: Map<string, T>, name: string, value: T): void => {
  into.delete(name)
  into.set(name, value)
  const oldest = into.keys().next()
  if (into.size > mostKnown && !oldest.done) into.delete(oldest.value)
}

/** An image has at most 127 layers; what a hostile registry says beyond is not counted. */
const mostLayers = 512

const count = (layers: Map<string, { done: number; total: number }>, { layer, status, done, total }: PullStep): boolean => {
  const before = layers.get(layer)
  if (status === 'Downloading' && done !== undefined && total !== undefined && (before !== undefined || layers.size < mostLayers)) {
    layers.set(layer, { done: Math.min(done, total), total })
    return true
  }
  if ((status === 'Download complete' || status === 'Pull complete') && before !== undefined) {
    before.done = before.total
    return true
  }
  return false
}
const sum = (layers: ReadonlyMap<string, { readonly done: number; readonly total: number }>, what: 'done' | 'total'): number =>
  [...layers.values()].reduce((total, layer) => total + layer[what], 0)

/** What the engine says of a failed pull is text: https://github.com/moby/moby/blob/v20.10.24/distribution/errors.go passes on what the registry said. */
const pullFailure = (reference: ImageReference, error: unknown, late: boolean, timeout = answerTime): FailureError => {
  const said = error instanceof Error ? error.message.trim().slice(0, 1000) : String(error)
  const of = (code: ConstructorParameters<typeof FailureError>[0], detail: string) => new FailureError(code, detail, { cause: error })
  if (late) return of('source-timeout', `the image ${reference.full} did not come within ${timeout} ms`)
  if (/denied|unauthorized|authentication required|no basic auth|forbidden/i.test(said))
    return of('source-refused', `the registry does not give the image ${reference.full}: ${said}`)
  if (/manifest unknown|not found|does not exist|repository name not known|name unknown|no matching manifest/i.test(said))
    return of('source-not-found', `the registry does not have the image ${reference.full}: ${said}`)
  return of('source-unreachable', `the image ${reference.full} cannot be pulled: ${said}`)
}
