import { ApiError } from './api-error.ts'
import { endpoints, type RouteName } from './endpoints.ts'

export interface FoundRoute {
  readonly name: RouteName
  /** What stands for `{id}` and `{path}`, decoded. */
  readonly id: string
  readonly path: string
}

interface Branch {
  readonly methods: Map<string, RouteName>
  readonly words: Map<string, Branch>
  id?: Branch
  rest?: Branch
}

const branch = (): Branch => ({ methods: new Map(), words: new Map() })

const root = branch()
for (const [name, { method, path }] of Object.entries(endpoints) as [RouteName, (typeof endpoints)[RouteName]][]) {
  let at = root
  for (const segment of path.slice(1).split('/')) {
    if (segment === '{id}') at = at.id ??= branch()
    else if (segment === '{path}') at = at.rest ??= branch()
    else {
      const next = at.words.get(segment) ?? branch()
      at.words.set(segment, next)
      at = next
    }
  }
  at.methods.set(method, name)
}

const decoded = (segment: string): string => {
  if (!segment.includes('%')) return segment
  try {
    return decodeURIComponent(segment)
  } catch {
    throw new ApiError('bad-request', 'the path is not percent-encoded UTF-8')
  }
}

/**
 * The route that a request is for. HEAD is answered as GET.
 *
 * @throws ApiError `no-route`; `method-not-allowed`, with the methods that the path takes in `allowed`; `bad-request`
 */
export const findRoute = (method: string, path: string, allow: (methods: readonly string[]) => void): FoundRoute => {
  const segments = path.slice(1).split('/')
  let at: Branch | undefined = root
  let id = ''
  let rest = ''
  for (let index = 0; index < segments.length && at !== undefined; index += 1) {
    const segment = segments[index] ?? ''
    const word: Branch | undefined = at.words.get(segment)
    if (word !== undefined) at = word
    else if (at.id !== undefined && segment !== '') {
      id = decoded(segment)
      at = at.id
    } else if (at.rest !== undefined) {
      rest = segments.slice(index).map(decoded).join('/')
      at = at.rest
      break
    } else at = undefined
  }
  if (at === undefined || at.methods.size === 0) throw new ApiError('no-route', `there is nothing at ${path.slice(0, 200)}`)
  const name = at.methods.get(method === 'HEAD' ? 'GET' : method)
  if (name !== undefined) return { name, id, path: rest }
  const methods = [...at.methods.keys()].flatMap((known) => (known === 'GET' ? ['GET', 'HEAD'] : [known]))
  allow(methods)
  throw new ApiError('method-not-allowed', `${path.slice(0, 200)} takes ${methods.join(', ')}, not ${method.slice(0, 20)}`)
}
