import { isWithin } from './path.ts'
import { rule, type Violation } from './rule.ts'

/** What the rules read of a job, in file form or read. */
interface JobPaths {
  readonly engine?: { readonly type?: unknown; readonly stdin?: unknown }
  readonly inputs?: readonly { readonly path: string }[]
  readonly outputs?: readonly { readonly name: string; readonly path: string }[]
  readonly sharding?: { readonly input?: string; readonly glob?: string; readonly count?: number }
  readonly network?: { readonly mode: string }
}

const repeated = function* <T>(
  items: readonly T[],
  keyOf: (item: T) => string,
): Generator<{ readonly index: number; readonly first: number; readonly key: string }> {
  const seen = new Map<string, number>()
  for (const [index, item] of items.entries()) {
    const key = keyOf(item)
    const first = seen.get(key)
    if (first === undefined) seen.set(key, index)
    else yield { index, first, key }
  }
}

/** For each path, one of `others` that it lies strictly below. Linear in the length of the paths. */
const nested = function* (paths: readonly string[], others: readonly string[]): Generator<{ readonly index: number; readonly inside: number }> {
  const known = new Map(others.map((path, index) => [path, index]))
  for (const [index, path] of paths.entries()) {
    for (let end = path.lastIndexOf('/'); end > 0; end = path.lastIndexOf('/', end - 1)) {
      const inside = known.get(path.slice(0, end))
      if (inside === undefined) continue
      yield { index, inside }
      break
    }
  }
}

const inputPaths = function* ({ inputs = [] }: JobPaths): Generator<Violation> {
  for (const { index, first, key } of repeated(inputs, ({ path }) => path)) {
    yield { path: ['inputs', index, 'path'], message: `inputs[${first}] has the path ${key} too: give each input its own` }
  }
}

const outputNames = function* ({ outputs = [] }: JobPaths): Generator<Violation> {
  for (const { index, first, key } of repeated(outputs, ({ name }) => name)) {
    yield { path: ['outputs', index, 'name'], message: `outputs[${first}] has the name ${key} too: give each output its own` }
  }
}

const outputPaths = function* ({ outputs = [] }: JobPaths): Generator<Violation> {
  const paths = outputs.map(({ path }) => path)
  for (const { index, first, key } of repeated(paths, (path) => path)) {
    yield { path: ['outputs', index, 'path'], message: `outputs[${first}] has the path ${key} too: give each output its own directory` }
  }
  for (const { index, inside } of nested(paths, paths)) {
    yield {
      path: ['outputs', index, 'path'],
      message: `${paths[index]} lies inside ${paths[inside]}, the path of outputs[${inside}]: give each output its own directory`,
    }
  }
}

const inputsAndOutputs = function* ({ inputs = [], outputs = [] }: JobPaths): Generator<Violation> {
  const sources = inputs.map(({ path }) => path)
  const targets = outputs.map(({ path }) => path)
  const outside = 'put outputs outside of inputs, which are read-only'
  for (const [index, path] of targets.entries()) {
    const same = sources.indexOf(path)
    if (same >= 0) yield { path: ['outputs', index, 'path'], message: `${path} is the path of inputs[${same}] too: ${outside}` }
  }
  for (const { index, inside } of nested(targets, sources))
    yield { path: ['outputs', index, 'path'], message: `${targets[index]} lies inside ${sources[inside]}, the path of inputs[${inside}]: ${outside}` }
  for (const { index, inside } of nested(sources, targets))
    yield { path: ['inputs', index, 'path'], message: `${sources[index]} lies inside ${targets[inside]}, the path of outputs[${inside}]: ${outside}` }
}

const shardedInput = function* ({ inputs = [], sharding }: JobPaths): Generator<Violation> {
  if (sharding?.glob === undefined) return
  const paths = inputs.map(({ path }) => path).join(', ')
  if (inputs.length === 0)
    yield { path: ['sharding', 'glob'], message: '`glob` splits the files of an input, and the job has no inputs; `count` splits a job without them' }
  else if (sharding.input === undefined) {
    if (inputs.length > 1)
      yield {
        path: ['sharding', 'input'],
        code: 'missing-key',
        message: `the job has ${inputs.length} inputs: say with \`input\` which one is split (its path: ${paths.slice(0, 200)})`,
      }
  } else if (!inputs.some(({ path }) => path === sharding.input))
    yield { path: ['sharding', 'input'], message: `${sharding.input} is the path of no input: there is ${paths.slice(0, 200)}` }
}

const stdin = function* ({ engine, inputs = [] }: JobPaths): Generator<Violation> {
  if (engine?.type !== 'wasm' || typeof engine.stdin !== 'object' || engine.stdin === null || !('path' in engine.stdin)) return
  const path = String(engine.stdin.path)
  if (!inputs.some((input) => isWithin(path, input.path)))
    yield { path: ['engine', 'stdin', 'path'], message: `${path} lies in no input: standard input comes from a file at or below the path of an input` }
}

const wasmNetwork = function* ({ engine, network }: JobPaths): Generator<Violation> {
  if (engine?.type === 'wasm' && network !== undefined && network.mode !== 'none')
    yield { path: ['network', 'mode'], message: `engine wasm has no network: use \`mode: none\`, or another engine, instead of \`${network.mode}\`` }
}

/** The rules between fields of a whole job. */
export const jobRules = [
  rule(['inputs'], inputPaths),
  rule(['outputs'], outputNames),
  rule(['outputs'], outputPaths),
  rule(['inputs', 'outputs'], inputsAndOutputs),
  rule(['inputs', 'sharding'], shardedInput),
  rule(['engine', 'inputs'], stdin),
  // Whatever else is wrong with the engine, its type is what it is.
  rule(['network'], wasmNetwork),
] as const

interface Verification {
  readonly method: string
  readonly replicas?: number
  readonly errorTarget?: number
  readonly adversaryShare?: number
  readonly stdout?: boolean
}

const methodFields: Readonly<Record<string, readonly (keyof Verification)[]>> = {
  none: [],
  deterministic: ['replicas', 'errorTarget', 'adversaryShare', 'stdout'],
  economic: ['stdout'],
  attested: ['stdout'],
}

const fieldsOfMethod = function* (verification: Verification): Generator<Violation> {
  const allowed = methodFields[verification.method] ?? []
  for (const field of ['replicas', 'errorTarget', 'adversaryShare', 'stdout'] as const) {
    if (verification[field] !== undefined && !allowed.includes(field))
      yield { path: [field], message: `\`${field}\` does not go with \`method: ${verification.method}\`` }
  }
}

const panelSize = function* ({ method, replicas, errorTarget, adversaryShare }: Verification): Generator<Violation> {
  if (method !== 'deterministic') return
  if (replicas !== undefined && (errorTarget !== undefined || adversaryShare !== undefined))
    yield { path: ['replicas'], message: 'either `replicas` says how many nodes compute each shard, or `errorTarget` and `adversaryShare` do, not both' }
  else if ((errorTarget === undefined) !== (adversaryShare === undefined)) {
    const [given, missing] = errorTarget === undefined ? (['adversaryShare', 'errorTarget'] as const) : (['errorTarget', 'adversaryShare'] as const)
    yield { path: [missing], code: 'missing-key', message: `\`${given}\` goes together with \`${missing}\`: give both` }
  }
}

const verificationFields = ['method', 'replicas', 'errorTarget', 'adversaryShare', 'stdout']

/** The rules between the fields of `verification`. */
export const verificationRules = [rule(verificationFields, fieldsOfMethod), rule(verificationFields, panelSize)] as const
