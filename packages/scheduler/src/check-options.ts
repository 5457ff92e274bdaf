import { suggestion } from '@skrei/job-spec'
import type { Workspace } from '@skrei/storage'
import type { Transport } from '@skrei/transport'
import { OptionError } from './option-error.ts'
import type { SchedulerOptions } from './options.ts'
import { defaultSettings, type Settings, settingKinds, settingsThatMayBeZero } from './settings.ts'

type Fields = Readonly<Record<string, unknown>>

const known = {
  network: 0,
  identity: 0,
  check: 0,
  clock: 0,
  random: 0,
  jobId: 0,
  store: 0,
  transport: 0,
  workspace: 0,
  sources: 0,
  publishers: 0,
  methods: 0,
  compute: 0,
  rankers: 0,
  settings: 0,
  logger: 0,
} as const satisfies Record<keyof SchedulerOptions, 0>
const knownOfCompute = {
  executors: 0,
  capacity: 0,
  overSubscription: 0,
  group: 0,
  labels: 0,
  policy: 0,
  secret: 0,
} as const satisfies Record<keyof NonNullable<SchedulerOptions['compute']>, 0>

/** What a contract's object must be able to do: all of it, so that what it lacks is found out here and not by a job. */
const functionsOfTransport = {
  start: 0,
  send: 0,
  receive: 0,
  hint: 0,
  onHint: 0,
  query: 0,
  serve: 0,
  publish: 0,
  subscribe: 0,
  peers: 0,
  peer: 0,
  peerCount: 0,
} as const satisfies Record<Exclude<keyof Transport, 'self' | symbol>, 0>
const functionsOfWorkspace = {
  open: 0,
  place: 0,
  locate: 0,
  receive: 0,
  append: 0,
  tail: 0,
  seal: 0,
  toPublish: 0,
  entries: 0,
  remove: 0,
  leftovers: 0,
} as const satisfies Record<keyof Workspace, 0>

/** Ten years: what a message may say. */
const longest = 315_360_000_000

const invalid = (path: string, expected: string, found: unknown): OptionError => {
  const shown = typeof found === 'number' || typeof found === 'boolean' ? `${typeof found} ${found}` : found === null ? 'null' : `a ${typeof found}`
  return found === undefined
    ? new OptionError('option-missing', path, `${path} is missing: expected ${expected}`)
    : new OptionError('option-invalid', path, `${path}: found ${shown}, expected ${expected}`)
}

const join = (path: string, key: string): string => (path === '' ? key : `${path}.${key}`)

const fieldsOf = (path: string, value: unknown): Fields => {
  if ((typeof value !== 'object' && typeof value !== 'function') || value === null) throw invalid(path === '' ? 'options' : path, 'an object', value)
  return value as Fields
}

const requireKnown = (path: string, value: Fields, allowed: object): void => {
  const names = Object.keys(allowed)
  for (const key of Object.keys(value)) {
    if (names.includes(key)) continue
    const meant = suggestion(key, names)
    const hint = meant === undefined ? `known are ${names.join(', ')}` : `did you mean ${join(path, meant)}?`
    throw new OptionError('option-unknown', join(path, key), `${join(path, key)} is not an option: ${hint}`)
  }
}

const requireText = (path: string, value: unknown): void => {
  if (typeof value !== 'string' || value === '') throw invalid(path, 'a text that is not empty', value)
}

const requireFunction = (path: string, value: unknown): void => {
  if (typeof value !== 'function') throw invalid(path, 'a function', value)
}

const requireFunctions = (path: string, value: unknown, names: readonly string[]): Fields => {
  const fields = fieldsOf(path, value)
  for (const name of names) requireFunction(join(path, name), fields[name])
  return fields
}

const requireNumber = (path: string, value: unknown, accepts: (number: number) => boolean, expected: string): void => {
  if (typeof value !== 'number' || !Number.isFinite(value) || !accepts(value)) throw invalid(path, expected, value)
}

const each = (path: string, value: unknown, check: (path: string, item: unknown) => void): void => {
  if (!Array.isArray(value)) throw invalid(path, 'a list', value)
  for (const [index, item] of value.entries()) check(`${path}[${index}]`, item)
}

const driver =
  (name: string, functions: readonly string[]) =>
  (path: string, item: unknown): void => {
    requireText(join(path, name), requireFunctions(path, item, functions)[name])
  }

const checkSettings = (given: unknown): void => {
  const fields = fieldsOf('settings', given)
  requireKnown('settings', fields, defaultSettings)
  for (const [name, value] of Object.entries(fields)) {
    const path = join('settings', name)
    const least = settingsThatMayBeZero.has(name) ? '0 or more' : 'more than 0'
    const isEnough = (number: number): boolean => (settingsThatMayBeZero.has(name) ? number >= 0 : number > 0)
    switch (settingKinds[name as keyof Settings]) {
      case 'share below one':
        requireNumber(path, value, (number) => number >= 0 && number < 1, 'a share from 0 to below 1')
        break
      case 'share above none':
        requireNumber(path, value, (number) => number > 0 && number <= 1, 'a share above 0, 1 at most')
        break
      case 'count':
        requireNumber(path, value, (number) => Number.isSafeInteger(number) && isEnough(number), `a whole number, ${least}`)
        break
      default:
        requireNumber(path, value, (number) => isEnough(number) && number <= longest, `a number, ${least} and at most ${longest}`)
    }
  }
  const { lease, heartbeat } = { ...defaultSettings, ...(fields as Partial<Settings>) }
  if (heartbeat >= lease)
    throw new OptionError('option-invalid', 'settings.heartbeat', `settings.heartbeat (${heartbeat} ms) must be less than settings.lease (${lease} ms)`)
}

const checkCompute = (given: unknown): void => {
  const fields = fieldsOf('compute', given)
  requireKnown('compute', fields, knownOfCompute)
  each('compute.executors', fields['executors'], driver('engine', ['inventory', 'assess', 'run', 'stop', 'leftovers', 'remove']))
  const capacity = fieldsOf('compute.capacity', fields['capacity'])
  requireKnown('compute.capacity', capacity, { cpu: 0, memory: 0, disk: 0 })
  for (const name of ['cpu', 'memory', 'disk'])
    requireNumber(`compute.capacity.${name}`, capacity[name], (number) => number >= 0 && number <= Number.MAX_SAFE_INTEGER, 'a number, 0 or more')
  if (fields['overSubscription'] !== undefined) {
    const factors = fieldsOf('compute.overSubscription', fields['overSubscription'])
    requireKnown('compute.overSubscription', factors, { cpu: 0, memory: 0 })
    for (const [name, value] of Object.entries(factors))
      requireNumber(`compute.overSubscription.${name}`, value, (number) => number >= 1, 'a factor, 1 or more')
  }
  for (const name of ['group', 'policy', 'secret']) if (fields[name] !== undefined) requireFunction(`compute.${name}`, fields[name])
  if (fields['labels'] === undefined) return
  for (const [name, value] of Object.entries(fieldsOf('compute.labels', fields['labels'])))
    if (typeof value !== 'string') throw invalid(`compute.labels.${name}`, 'text', value)
}

/** What types say already, for programs that have none: found out when the scheduler is made, not when a job first meets it. Throws an `OptionError`. */
export const checkOptions = (options: SchedulerOptions): void => {
  const fields = fieldsOf('', options)
  requireKnown('', fields, known)
  requireText('network', fields['network'])
  requireText('identity.nodeId', requireFunctions('identity', fields['identity'], ['sign'])['nodeId'])
  for (const name of ['check', 'random', 'jobId']) requireFunction(name, fields[name])
  requireFunctions('clock', fields['clock'], ['now', 'elapsed', 'at', 'soon'])
  requireFunctions('store', fields['store'], ['read', 'transact'])
  requireFunctions('transport', fields['transport'], Object.keys(functionsOfTransport))
  requireFunctions('workspace', fields['workspace'], Object.keys(functionsOfWorkspace))
  each('sources', fields['sources'], driver('type', ['list', 'assess', 'stage']))
  each('publishers', fields['publishers'], driver('type', ['publish', 'compose', 'fetch', 'read', 'unpublish']))
  if (fields['methods'] !== undefined) each('methods', fields['methods'], driver('name', ['plan']))
  if (fields['compute'] !== undefined) checkCompute(fields['compute'])
  if (fields['rankers'] !== undefined)
    each('rankers', fields['rankers'], (path, item) => {
      driver('name', ['score'])(path, item)
      requireNumber(join(path, 'weight'), (item as Fields)['weight'], () => true, 'a finite number')
    })
  if (fields['settings'] !== undefined) checkSettings(fields['settings'])
  if (fields['logger'] !== undefined) requireFunctions('logger', fields['logger'], ['debug', 'info', 'warn', 'error'])
}

/** The longest that leaves room for a shard's and an ask's number in an id of a message. */
const longestJobId = 200

/** What the option `jobId` gave. */
export const requireJobId = (id: unknown, isTaken: (id: string) => boolean): string => {
  if (typeof id !== 'string' || id.length > longestJobId || !/^[\x21-\x7e]+$/.test(id))
    throw new OptionError(
      'option-invalid',
      'jobId',
      `jobId gave ${typeof id === 'string' ? JSON.stringify(id.slice(0, 60)) : `a ${typeof id}`}: expected up to ${longestJobId} printable ASCII characters without blanks`,
    )
  if (isTaken(id)) throw new OptionError('option-invalid', 'jobId', `jobId gave ${id} again: each job needs an id of its own`)
  return id
}
