/** An image as `docker run` names it, taken apart. */
export interface ImageReference {
  /** The registry's host, with its port: `docker.io` where none was written. */
  readonly registry: string
  /** `library/busybox`. */
  readonly repository: string
  readonly tag?: string
  readonly digest?: string
  /** All of it, as it was meant: `docker.io/library/busybox:latest`. What patterns of the node are held against. */
  readonly full: string
  /** What the engine is asked for: as `full`; the digest alone where both were given. */
  readonly wanted: string
}

// https://github.com/distribution/reference/blob/main/regexp.go. Each pattern is applied to one part that was cut out before, so that none can take long.
const component = /^[a-z0-9]+(?:(?:\.|__?|-+)[a-z0-9]+)*$/
const label = /^(?!-)[A-Za-z0-9-]{1,63}(?<!-)$/
const port = /^[0-9]{1,5}$/
const tagPattern = /^[A-Za-z0-9_][A-Za-z0-9_.-]{0,127}$/
const digestPattern = /^sha256:[0-9a-f]{64}$/

/** Undefined where it is no name of an image. Ids of images (`sha256:…`) are none: they mean nothing on another node. */
export const parseImageReference = (text: string): ImageReference | undefined => {
  if (text.length > 512) return undefined
  const [named = '', digest, ...more] = text.split('@')
  if (more.length > 0 || (digest !== undefined && !digestPattern.test(digest))) return undefined
  const lastSlash = named.lastIndexOf('/')
  const colon = named.indexOf(':', lastSlash + 1)
  const tag = colon === -1 ? undefined : named.slice(colon + 1)
  if (tag !== undefined && !tagPattern.test(tag)) return undefined
  const parts = (colon === -1 ? named : named.slice(0, colon)).split('/')
  const first = parts[0] ?? ''
  const hasRegistry = parts.length > 1 && (first.includes('.') || first.includes(':') || first === 'localhost')
  const registry = hasRegistry ? first : 'docker.io'
  const [host = '', ...ports] = registry.split(':')
  if (!host.split('.').every((part) => label.test(part)) || ports.length > 1 || !ports.every((part) => port.test(part))) return undefined
  const path = hasRegistry ? parts.slice(1) : parts
  if (path.length === 0 || !path.every((part) => component.test(part))) return undefined
  const repository = registry === 'docker.io' && path.length === 1 ? `library/${path.join('/')}` : path.join('/')
  const tagged = tag ?? (digest === undefined ? 'latest' : undefined)
  const name = `${registry}/${repository}`
  return {
    registry,
    repository,
    ...(tagged !== undefined && { tag: tagged }),
    ...(digest !== undefined && { digest }),
    full: `${name}${tagged === undefined ? '' : `:${tagged}`}${digest === undefined ? '' : `@${digest}`}`,
    wanted: digest === undefined ? `${name}:${tagged}` : `${name}@${digest}`,
  }
}
