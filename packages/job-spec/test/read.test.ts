import * as fc from 'fast-check'
import { expect, test } from 'vitest'
import { limits, type Problem, type ProblemCode, problems, readJob } from '../src/index.ts'

const problemsOf = (text: string, format: 'yaml' | 'json' = 'yaml'): readonly Problem[] => {
  const result = readJob(text, { file: `job.${format}` })
  return result.ok ? [] : result.problems
}
const head = 'apiVersion: skrei/v1\n'
const noop = `${head}engine: { type: noop }\n`
const wasm = (fields: string): string => `${head}engine: { type: wasm, module: { type: inline, text: x }${fields} }\n`

/** What follows the head, and for each problem its code, place, path and a part of the message. */
const cases: readonly [string, string, ...(readonly [ProblemCode, number, number, string, string])[]][] = [
  // Spelling
  ['a misspelt key', `${noop}ouputs: []\n`, ['unknown-key', 3, 1, 'ouputs', 'did you mean `outputs`?']],
  [
    'a misspelt engine key',
    `${head}enigne: { type: noop }\n`,
    ['missing-key', 1, 1, 'engine', 'no `engine`'],
    ['unknown-key', 2, 1, 'enigne', 'did you mean `engine`?'],
  ],
  [
    'a key of another convention',
    `${head}engine: { type: docker, image: x, working_directory: /a }\n`,
    ['unknown-key', 2, 35, 'engine.working_directory', 'did you mean `workingDirectory`?'],
  ],
  ['a key that is like no other', `${noop}limits: { zebra: 1 }\n`, ['unknown-key', 3, 11, 'limits.zebra', 'allowed are `stdout`, `stderr` or `files`']],
  ['a misspelt value', `${noop}publisher: { type: ipsf }\n`, ['bad-value', 3, 20, 'publisher.type', 'did you mean `ipfs`?']],
  ['a misspelt value in a list', `${noop}publisher: [{ type: ipfs }, { type: non }]\n`, ['bad-value', 3, 37, 'publisher[1].type', 'did you mean `none`?']],
  ['a misspelt failure code', `${noop}retry: { on: [time-out] }\n`, ['bad-value', 3, 15, 'retry.on[0]', 'expected `timeout`']],
  ['another version', 'apiVersion: skrei/v2\nengine: { type: noop }\n', ['bad-value', 1, 13, 'apiVersion', 'found text "skrei/v2", expected `skrei/v1`']],
  // Engines
  ['an unknown engine', `${head}engine: { type: wsam }\n`, ['unknown-engine', 2, 17, 'engine.type', 'did you mean `wasm`?']],
  ['an extension with capitals', `${head}engine: { type: Acme/Toy }\n`, ['unknown-engine', 2, 17, 'engine.type', 'such as `acme.dev/toy`']],
  ['an engine without a type', `${head}engine: { image: x }\n`, ['missing-key', 2, 9, 'engine.type', 'no `type`']],
  ['an engine that is text', `${head}engine: wasm\n`, ['wrong-type', 2, 9, 'engine', 'found text "wasm", expected a mapping with a type']],
  ['an empty engine', `${head}engine:\n`, ['wrong-type', 2, 8, 'engine', 'found nothing (null)']],
  ['a module without a place', `${head}engine: { type: wasm }\n`, ['missing-key', 2, 9, 'engine.module', '`engine` has no `module`']],
  [
    'a bad argument',
    wasm(', args: [1, "a\\0b"]'),
    ['wrong-type', 2, 65, 'engine.args[0]', 'found number 1, expected text'],
    ['bad-value', 2, 68, 'engine.args[1]', 'without NUL'],
  ],
  ['stdin that is a number', wasm(', stdin: 1'), ['wrong-type', 2, 65, 'engine.stdin', 'expected text, or {path: …}']],
  ['stdin with a relative path', wasm(', stdin: { path: a }'), ['bad-path', 2, 73, 'engine.stdin.path', 'absolute path']],
  // Unions say what is wrong with the branch that was meant
  ['a gpu that is text', `${noop}resources: { gpu: one }\n`, ['wrong-type', 3, 19, 'resources.gpu', 'expected a number of devices, or {count']],
  ['too many gpus', `${noop}resources: { gpu: 9999 }\n`, ['bad-value', 3, 19, 'resources.gpu', 'at most 1024']],
  ['half a gpu', `${noop}resources: { gpu: 0.5 }\n`, ['wrong-type', 3, 19, 'resources.gpu', 'expected a']],
  [
    'a gpu of an unknown vendor',
    `${noop}resources: { gpu: { count: 1, vendor: nvida } }\n`,
    ['bad-value', 3, 39, 'resources.gpu.vendor', 'did you mean `nvidia`?'],
  ],
  [
    'sharding of both forms',
    `${noop}inputs: [{ source: { type: local, path: a }, path: /a }]\nsharding: { glob: "*", count: 2 }\n`,
    ['conflict', 4, 24, 'sharding.count', '`count` does not go with `glob`'],
  ],
  ['sharding of no form', `${noop}sharding: { batchSize: 2 }\n`, ['missing-key', 3, 11, 'sharding.glob', 'no `glob`']],
  ['an environment variable that is a number', `${noop}env: { A: 1 }\n`, ['wrong-type', 3, 11, 'env.A', 'put numbers, true and false into quotes']],
  ['a secret with more', `${noop}env: { A: { secret: x, value: y } }\n`, ['unknown-key', 3, 24, 'env.A.value', 'unknown key `value`']],
  // Quantities, durations, selectors, globs
  ['a CPU that is too exact', `${noop}resources: { cpu: 0.0001 }\n`, ['bad-quantity', 3, 19, 'resources.cpu', 'found number 0.0001, expected a CPU quantity']],
  ['memory with an unknown suffix', `${noop}resources: { memory: 512MB }\n`, ['bad-quantity', 3, 22, 'resources.memory', 'such as 512Mi']],
  ['memory below 0', `${noop}resources: { memory: -1 }\n`, ['bad-quantity', 3, 22, 'resources.memory', 'found number -1']],
  ['memory that is true', `${noop}resources: { memory: true }\n`, ['wrong-type', 3, 22, 'resources.memory', 'found boolean true']],
  ['gpu memory', `${noop}resources: { gpu: { count: 1, memory: lots } }\n`, ['bad-quantity', 3, 39, 'resources.gpu.memory', 'found text "lots"']],
  ['a duration without a unit', `${noop}timeouts: { queue: 5 }\n`, ['bad-duration', 3, 20, 'timeouts.queue', 'such as 500ms, 90s or 1h30m']],
  ['a duration of 0', `${noop}timeouts: { queue: 0s }\n`, ['bad-duration', 3, 20, 'timeouts.queue', 'above 0']],
  [
    'a selector that breaks off',
    `${noop}constraints: ["region in (eu, us"]\n`,
    ['bad-selector', 3, 33, 'constraints[0]', 'found the end, expected "," or ")"'],
  ],
  ['a plain selector', `${noop}prefer:\n- ok\n- a b\n`, ['bad-selector', 5, 5, 'prefer[1]', 'found "b"']],
  ['a selector with escapes points at its start', `${noop}prefer: ["\\x61 b"]\n`, ['bad-selector', 3, 10, 'prefer[0]', 'found "b"']],
  [
    'a bad glob',
    `${noop}inputs: [{ source: { type: local, path: a }, path: /a }]\nsharding: { glob: "x[a" }\n`,
    ['bad-glob', 4, 21, 'sharding.glob', 'ends the character class'],
  ],
  // Paths
  [
    'an input path that escapes',
    `${noop}inputs: [{ source: { type: local, path: a }, path: /a/../b }]\n`,
    ['bad-path', 3, 52, 'inputs[0].path', 'an input path that escapes its directory'],
  ],
  [
    'an output path that escapes',
    `${noop}outputs: [{ name: a, path: /../b }]\n`,
    ['bad-path', 3, 28, 'outputs[0].path', 'an output path that escapes its directory'],
  ],
  [
    'a source path that escapes',
    `${noop}inputs: [{ source: { type: local, path: ../a }, path: /a }]\n`,
    ['bad-path', 3, 41, 'inputs[0].source.path', 'a source path that escapes its directory'],
  ],
  [
    'a base path that escapes',
    `${noop}inputs: [{ source: { type: local, path: a }, path: /a }]\nsharding: { glob: "*", basePath: a/.. }\n`,
    ['bad-path', 4, 34, 'sharding.basePath', 'a base path that escapes its directory'],
  ],
  ['the root as an output', `${noop}outputs: [{ name: a, path: / }]\n`, ['bad-path', 3, 28, 'outputs[0].path', 'an absolute path below /']],
  ['a path with a trailing slash', `${noop}outputs: [{ name: a, path: /a/ }]\n`, ['bad-path', 3, 28, 'outputs[0].path', 'without a trailing slash']],
  // Rules between fields
  [
    'url and urls',
    `${noop}inputs: [{ source: { type: https, url: "http://a", urls: ["http://b"] }, path: /a }]\n`,
    ['conflict', 3, 58, 'inputs[0].source.urls', '`url` and `urls` are both there'],
  ],
  ['neither url nor urls', `${noop}inputs: [{ source: { type: https }, path: /a }]\n`, ['missing-key', 3, 20, 'inputs[0].source', 'neither `url` nor `urls`']],
  [
    'sha256 of many files',
    `${noop}inputs: [{ source: { type: https, urls: ["http://b"], sha256: ${'0'.repeat(64)} }, path: /a }]\n`,
    ['bad-value', 3, 63, 'inputs[0].source.sha256', 'put it into quotes'],
  ],
  [
    'sha256 of many files, quoted',
    `${noop}inputs: [{ source: { type: https, urls: ["http://b"], sha256: "${'0'.repeat(64)}" }, path: /a }]\n`,
    ['conflict', 3, 63, 'inputs[0].source.sha256', 'goes with `url`'],
  ],
  [
    'text and base64',
    `${noop}inputs: [{ source: { type: inline, text: a, base64: "" }, path: /a }]\n`,
    ['conflict', 3, 53, 'inputs[0].source.base64', 'both there'],
  ],
  [
    'two outputs of one name',
    `${noop}outputs: [{ name: a, path: /a }, { name: a, path: /b }]\n`,
    ['conflict', 3, 42, 'outputs[1].name', 'outputs[0] has the name a too'],
  ],
  [
    'two outputs of one path',
    `${noop}outputs: [{ name: a, path: /a }, { name: b, path: /a }]\n`,
    ['conflict', 3, 51, 'outputs[1].path', 'outputs[0] has the path /a too'],
  ],
  [
    'an output inside an output',
    `${noop}outputs: [{ name: a, path: /a/b/c }, { name: b, path: /a }]\n`,
    ['conflict', 3, 28, 'outputs[0].path', '/a/b/c lies inside /a'],
  ],
  ['outputs beside each other', `${noop}outputs: [{ name: a, path: /ab }, { name: b, path: /a }]\n`],
  [
    'an output inside an input',
    `${noop}inputs: [{ source: { type: local, path: a }, path: /a }]\noutputs: [{ name: a, path: /a/b }]\n`,
    ['conflict', 4, 28, 'outputs[0].path', 'inside /a, the path of inputs[0]'],
  ],
  [
    'an input inside an output',
    `${noop}inputs: [{ source: { type: local, path: a }, path: /a/b }]\noutputs: [{ name: a, path: /a }]\n`,
    ['conflict', 3, 52, 'inputs[0].path', 'inside /a, the path of outputs[0]'],
  ],
  [
    'an input at an output',
    `${noop}inputs: [{ source: { type: local, path: a }, path: /a }]\noutputs: [{ name: a, path: /a }]\n`,
    ['conflict', 4, 28, 'outputs[0].path', 'the path of inputs[0] too'],
  ],
  [
    'two inputs of one path',
    `${noop}inputs: [{ source: { type: local, path: a }, path: /a }, { source: { type: local, path: b }, path: /a }]\n`,
    ['conflict', 3, 100, 'inputs[1].path', 'inputs[0] has the path /a too'],
  ],
  ['a glob without inputs', `${noop}sharding: { glob: "*" }\n`, ['conflict', 3, 19, 'sharding.glob', 'the job has no inputs']],
  [
    'a glob with two inputs',
    `${noop}inputs: [{ source: { type: local, path: a }, path: /a }, { source: { type: local, path: b }, path: /b }]\nsharding: { glob: "*" }\n`,
    ['missing-key', 4, 11, 'sharding.input', 'say with `input` which one'],
  ],
  [
    'a shard of no input',
    `${noop}inputs: [{ source: { type: local, path: a }, path: /a }]\nsharding: { input: /b, glob: "*" }\n`,
    ['conflict', 4, 20, 'sharding.input', '/b is the path of no input: there is /a'],
  ],
  ['tolerance without best effort', `${noop}partial: { policy: fail-fast, tolerate: 1 }\n`, ['conflict', 3, 41, 'partial.tolerate', 'best-effort']],
  ['domains without http', `${noop}network: { mode: full, domains: [a.example] }\n`, ['conflict', 3, 33, 'network.domains', 'mode: http']],
  [
    'wasm with a network, and a bad engine besides',
    `${head}engine: { type: wasm }\nnetwork: { mode: http }\n`,
    ['missing-key', 2, 9, 'engine.module', 'no `module`'],
    ['conflict', 3, 18, 'network.mode', 'engine wasm has no network'],
  ],
  [
    'stdin outside of inputs',
    `${wasm(', stdin: { path: /a/b }')}inputs: [{ source: { type: local, path: a }, path: /a/bc }]\n`,
    ['conflict', 2, 73, 'engine.stdin.path', '/a/b lies in no input'],
  ],
  ['stdin below an input', `${wasm(', stdin: { path: /a/b }')}inputs: [{ source: { type: local, path: a }, path: /a }]\n`],
  [
    'replicas without a method that has them',
    `${noop}verification: { method: none, replicas: 3 }\n`,
    ['conflict', 3, 41, 'verification.replicas', 'method: none'],
  ],
  [
    'replicas and an error target',
    `${noop}verification: { method: deterministic, replicas: 3, errorTarget: 0.1, adversaryShare: 0.1 }\n`,
    ['conflict', 3, 50, 'verification.replicas', 'not both'],
  ],
  [
    'an error target alone',
    `${noop}verification: { method: deterministic, errorTarget: 0.1 }\n`,
    ['missing-key', 3, 15, 'verification.adversaryShare', 'give both'],
  ],
  // Several at once, also across rules and types
  [
    'a rule and a type',
    `${noop}outputs: [{ name: a, path: /a }, { name: a, path: /b }]\nretry: { attempts: none }\n`,
    ['conflict', 3, 42, 'outputs[1].name', 'too'],
    ['wrong-type', 4, 20, 'retry.attempts', 'expected a'],
  ],
  // Not built
  ['a service', `${noop}type: service\n`, ['not-built', 3, 1, 'type', '`type` is not built yet: only batch jobs run']],
  [
    'wasm fuel, profile and imports',
    wasm(', fuel: 5, profile: fast, imports: {}'),
    ['not-built', 2, 58, 'engine.fuel', 'not metered'],
    ['not-built', 2, 67, 'engine.profile', 'same way'],
    ['not-built', 2, 82, 'engine.imports', 'WASI'],
  ],
  ['verification is for nodes to answer', `${noop}verification: { method: economic }\n`],
  ['docker is for nodes to answer', `${head}engine: { type: docker, image: busybox }\nnetwork: { mode: http, domains: [example.org] }\n`],
  // YAML
  ['nothing', '', ['wrong-type', 1, 1, '', 'found nothing (null), expected a mapping']],
  ['a list', '- 1\n', ['wrong-type', 1, 1, '', 'found a list, expected a mapping']],
  ['a flow that does not end', `${noop}env: {\n`, ['yaml-syntax', 4, 1, '', 'not YAML here']],
  ['a tab as indentation', `${head}engine:\n\ttype: noop\n`, ['yaml-syntax', 3, 1, '', 'Tabs are not allowed']],
  ['a key twice', `${noop}name: a\nname: b\n`, ['duplicate-key', 4, 1, 'name', '`name` a second time']],
  ['a key twice, written differently', `${noop}name: a\n"na\\x6de": b\n`, ['duplicate-key', 4, 1, 'name', '`name` a second time']],
  ['a tag', `${noop}name: !!str 1\n`, ['yaml-unsupported', 3, 13, 'name', 'tags']],
  ['a tag of its own', `${noop}env: !js/function { A: x }\n`, ['yaml-unsupported', 3, 19, 'env', 'tags']],
  ['a merge key', `${noop}env: &a { A: x }\nlabels: { <<: *a }\n`, ['yaml-unsupported', 4, 11, 'labels', 'merge key']],
  ['a quoted merge key', `${noop}"<<": {}\n`, ['unknown-key', 3, 1, '["<<"]', 'unknown key']],
  ['two documents', `${noop}---\n${noop}`, ['yaml-unsupported', 3, 1, '', 'second YAML document']],
  ['a directive', `%YAML 1.1\n---\n${noop}`, ['yaml-unsupported', 1, 1, '', 'directive']],
  ['a list as a key', `${noop}? [a]\n: b\n`, ['yaml-unsupported', 3, 3, '', 'a key that is not text']],
  ['an octal number', `${noop}retry: { attempts: 0o10 }\n`, ['bad-value', 3, 20, 'retry.attempts', 'write 8 if it is a number']],
  ['a leading zero', `${noop}retry: { attempts: 010 }\n`, ['bad-value', 3, 20, 'retry.attempts', 'write 10 if it is a number']],
  ['an underscore', `${noop}retry: { attempts: 1_0 }\n`, ['wrong-type', 3, 20, 'retry.attempts', 'found text "1_0"']],
  [
    'infinity',
    `${noop}verification: { method: deterministic, errorTarget: .inf, adversaryShare: .nan }\n`,
    ['bad-value', 3, 53, 'verification.errorTarget', 'finite'],
    ['bad-value', 3, 75, 'verification.adversaryShare', 'finite'],
  ],
  ['a number that is too large', `${noop}retry: { attempts: 1e400 }\n`, ['bad-value', 3, 20, 'retry.attempts', 'too large']],
  ['a number that is not exact', `${noop}resources: { memory: 9007199254740993 }\n`, ['bad-value', 3, 22, 'resources.memory', 'too large to be exact']],
  ['half a character', `${noop}name: "\\ud800"\n`, ['bad-value', 3, 7, 'name', 'surrogate']],
  ['a byte order mark', `${noop}name: "\\ufeffa"\n`, ['bad-value', 3, 7, 'name', 'byte order mark']],
  ['__proto__', `${noop}env: { __proto__: x }\n__proto__: { type: ops }\n`, ['unknown-key', 3, 8, 'env', '__proto__'], ['unknown-key', 4, 1, '', '__proto__']],
  ['constructor', `${noop}constructor: x\nenv: { constructor: x, toString: y }\n`, ['unknown-key', 3, 1, 'constructor', 'unknown key `constructor`']],
  ['an unknown alias', `${noop}name: *a\n`, ['yaml-syntax', 3, 7, 'name', 'no anchor &a']],
  ['an alias inside its anchor', `${noop}name: &a [*a]\n`, ['wrong-type', 3, 10, 'name', 'found a list'], ['yaml-syntax', 3, 11, 'name[0]', 'no anchor &a']],
]

test.each(cases)('%s', (_, text, ...expected) => {
  const found = problemsOf(text)
  expect(found.map(({ code, line, column, path }) => [code, line, column, path])).toEqual(
    expected.map(([code, line, column, path]) => [code, line, column, path]),
  )
  for (const [index, [, , , , part]] of expected.entries()) expect(found[index]?.message).toContain(part)
  for (const problem of found) {
    expect(Object.keys(problems)).toContain(problem.code)
    expect(problem.file).toBe('job.yaml')
    expect(problem.message).not.toMatch(/invalid input|undefined|\[object/i)
  }
})

test('every code of the table is reported by some text', () => {
  const hostile = ['x'.repeat(limits.bytes + 1), '['.repeat(100), `a: &a [${'x,'.repeat(200)}]\nb: [${'*a,'.repeat(90)}]`, '{']
  const codes = new Set(
    [...cases.flatMap(([, text]) => problemsOf(text)), ...hostile.flatMap((text) => [...problemsOf(text), ...problemsOf(text, 'json')])].map(
      ({ code }) => code,
    ),
  )
  expect([...codes].toSorted()).toEqual(Object.keys(problems).toSorted())
})

test.each([
  ['{"apiVersion": "skrei/v1", "engine": {"type": "noop"},}', 1, 55, '"}"', 'a key in double quotes'],
  ['{"apiVersion": "skrei/v1"\n "engine": {"type": "noop"}}', 2, 2, '"\\""', '"," or "}"'],
  ["{'a': 1}", 1, 2, '"\'"', 'a key in double quotes'],
  ['{"a": 01}', 1, 7, '"0"', 'a value'],
  ['{"a": "\n"}', 1, 7, '"\\""', 'text that ends'],
  ['{"a": [1, 2}', 1, 12, '"}"', '"," or "]"'],
  ['{"a": NaN}', 1, 7, '"N"', 'a value'],
  ['{"a": 1} // b', 1, 10, '"/"', 'the end of the file'],
  ['{"a": 1', 1, 8, 'the end of the file', '"," or "}"'],
  ['apiVersion: skrei/v1', 1, 1, '"a"', 'a value'],
])('what is YAML but not JSON is refused in a JSON file: %j', (text, line, column, found, expected) => {
  expect(problemsOf(text, 'json')).toEqual([
    expect.objectContaining({ code: 'json-syntax', line, column, found, expected: expect.stringContaining(expected) as unknown }),
  ])
})

test('problems of a JSON file have places too', () => {
  expect(problemsOf('{\n  "apiVersion": "skrei/v1",\n  "engine": { "type": "noop", "exitt": 1 }\n}', 'json')).toEqual([
    expect.objectContaining({ code: 'unknown-key', line: 3, column: 31, path: 'engine.exitt' }),
  ])
})

test('a JSON file is exactly what JSON.parse reads', () => {
  const mutated = fc
    .tuple(fc.json({ maxDepth: 4 }), fc.nat(), fc.constantFrom('', ',', '"', '}', ']', '{', ':', '0', '\\', '\n', ' ', 'e', '-', '\u0001'))
    .map(([text, at, insert]) => {
      const position = at % (text.length + 1)
      return text.slice(0, position) + insert + text.slice(position + (at % 2))
    })
  fc.assert(
    fc.property(fc.oneof(fc.json(), mutated, fc.string({ unit: fc.constantFrom(...'[]{}",:0123eE.-+\\ntruefalse \n') })), (text) => {
      const valid = (() => {
        try {
          JSON.parse(text)
          return true
        } catch {
          return false
        }
      })()
      expect(problemsOf(text, 'json').some(({ code }) => code === 'json-syntax')).toBe(!valid)
      // What is JSON is read without a complaint about its YAML.
      if (valid) expect(problemsOf(text, 'json').filter(({ code }) => code === 'yaml-syntax')).toEqual([])
    }),
    { numRuns: 1000 },
  )
})

test('a file ends in .json or is YAML, unless told otherwise', () => {
  expect(readJob('{a: 1}', { file: 'job.JSON' })).toMatchObject({ problems: [{ code: 'json-syntax' }] })
  expect(readJob('{a: 1}', { file: 'job.json', format: 'yaml' })).toMatchObject({
    problems: [{ code: 'missing-key' }, { code: 'missing-key' }, { code: 'unknown-key' }],
  })
  expect(readJob(`\ufeff${noop}`, { file: 'job' }).ok).toBe(true)
  expect(readJob('\ufeff{"apiVersion":"skrei/v1","engine":{"type":"noop"}}', { file: 'job.json' }).ok).toBe(true)
  expect(readJob(noop.replaceAll('\n', '\r\n'), { file: 'job.yaml' }).ok).toBe(true)
})

test('places of a job that was read lead to keys, values and what is nearest', () => {
  const result = readJob(`${noop}inputs:\n  - path: /a\n    source: &s\n      type: local\n      path: x\n  - path: /b\n    source: *s\n`, { file: 'job.yaml' })
  if (!result.ok) throw new Error('not read')
  expect(result.places(['inputs', 0, 'source', 'path'])).toEqual({ line: 7, column: 13 })
  expect(result.places(['inputs', 0, 'source', 'path'], 'key')).toEqual({ line: 7, column: 7 })
  expect(result.places(['inputs', 1, 'source'])).toEqual({ line: 9, column: 13 })
  expect(result.places(['inputs', 1, 'source', 'path'])).toEqual({ line: 7, column: 13 })
  expect(result.places(['engine', 'module', 'path'])).toEqual({ line: 2, column: 9 })
  expect(result.places([])).toEqual({ line: 1, column: 1 })
  expect(result.spec.inputs?.[1]).toEqual({ path: '/b', source: { type: 'local', path: 'x' } })
})

test('a host that has built more, or less, says so itself', () => {
  const text = `${noop}type: ops\n`
  expect(readJob(text, { file: 'job.yaml', notBuilt: () => [] }).ok).toBe(true)
  expect(readJob(noop, { file: 'job.yaml', notBuilt: () => [{ path: ['engine', 'type'], reason: 'no engines' }] })).toMatchObject({
    problems: [{ code: 'not-built', path: 'engine.type', line: 2, column: 11 }],
  })
})

test('the list of problems is capped and says how many more there were', () => {
  const result = readJob(`${noop}env:\n${Array.from({ length: 50 }, (_, index) => `  A${index}: 1\n`).join('')}`, { file: 'job.yaml' })
  expect(result).toMatchObject({ ok: false, omitted: 50 - limits.problems })
  if (!result.ok) expect(result.problems).toHaveLength(limits.problems)
})

test('aliases that multiply are refused, a few are not', () => {
  const bomb = [
    'a: &a [x,x,x,x,x,x,x,x,x]',
    ...[...'bcdefgh'].map((name, index) => `${name}: &${name} [${Array(9).fill(`*${'abcdefg'[index]}`).join(',')}]`),
  ].join('\n')
  expect(problemsOf(bomb).filter(({ code }) => code === 'too-many-aliases')).toHaveLength(1)
  expect(problemsOf(`a: &a x\nb: [${'*a,'.repeat(101)}]`).map(({ code }) => code)).toContain('too-many-aliases')
  expect(problemsOf(`a: &a x\nb: [${'*a,'.repeat(100)}]`).map(({ code }) => code)).not.toContain('too-many-aliases')
  expect(problemsOf(`${noop}env: { A: &a x, B: *a }\n`)).toEqual([])
})

const megabyte = limits.bytes
test.each([
  ['['.repeat(megabyte), 'too-deep'],
  ['{'.repeat(megabyte), 'too-deep'],
  ['- '.repeat(megabyte / 2), 'too-deep'],
  ['? '.repeat(megabyte / 2), 'too-deep'],
  ['a: '.repeat(megabyte / 3), 'too-deep'],
  ['[]'.repeat(megabyte / 2), 'yaml-syntax'],
  [`[${','.repeat(megabyte - 1)}`, 'too-large'],
  [`[${','.repeat(limits.tokens - 10)}`, 'yaml-syntax'],
  ['"'.repeat(megabyte), 'too-large'],
  ['"'.repeat(limits.tokens), 'yaml-syntax'],
  ["'".repeat(megabyte), 'wrong-type'],
  ['"\n'.repeat(megabyte / 2), 'yaml-syntax'],
  [`"${'\\n'.repeat(megabyte / 2 - 1)}"`, 'wrong-type'],
  ['& '.repeat(megabyte / 2), 'too-large'],
  ['*'.repeat(megabyte), 'yaml-syntax'],
  ['!'.repeat(megabyte), 'yaml-syntax'],
  ['%'.repeat(megabyte), 'yaml-unsupported'],
  ['---\n'.repeat(megabyte / 4), 'yaml-unsupported'],
  ['\n'.repeat(megabyte), 'too-large'],
  [`a: &a x\nb: [${'*a,'.repeat(300_000)}`, 'too-large'],
  [`a: &a x\nb: [${'*a,'.repeat(60_000)}]`, 'too-many-aliases'],
  [Array.from({ length: 35_000 }, (_, index) => `key${index}: 1\n`).join(''), 'unknown-key'],
  ['a: 1\n'.repeat(35_000), 'duplicate-key'],
  [`? ${'a'.repeat(megabyte - 10)}\n: 1`, 'unknown-key'],
  [`a: |\n${' x\n'.repeat(megabyte / 3 - 10)}`, 'unknown-key'],
  [`${noop}constraints: ["${'a,'.repeat(400_000)}"]`, 'bad-value'],
  [`${noop}outputs: [{ name: a, path: "${'/..'.repeat(300_000)}" }]`, 'bad-value'],
  [`${noop}outputs: [${Array.from({ length: 9000 }, (_, index) => `{ name: a${index}, path: /a/${index} }`).join(',')}]`, 'bad-value'],
])(
  'a megabyte of hostile text is refused in linear time: %#',
  (text, code) => {
    const found = problemsOf(text)
    expect(found.map((problem) => problem.code)).toContain(code)
    for (const { message, path } of found) expect(message.length + path.length).toBeLessThan(2000)
  },
  20_000,
)

test.each([
  ['['.repeat(megabyte), 'json-syntax'],
  [`${'['.repeat(megabyte / 2)}${']'.repeat(megabyte / 2)}`, 'too-deep'],
  [`"${'a'.repeat(megabyte - 2)}"`, 'wrong-type'],
  [`"${'\\\\'.repeat(megabyte / 2 - 1)}"`, 'wrong-type'],
  [`{${'"a":1,'.repeat(30_000)}"b":1}`, 'duplicate-key'],
  [`[${'1,'.repeat(megabyte / 2 - 1)}1]`, 'too-large'],
  ['1'.repeat(megabyte), 'bad-value'],
  [' '.repeat(megabyte), 'json-syntax'],
])(
  'a megabyte of hostile JSON is refused in linear time: %#',
  (text, code) => {
    expect(problemsOf(text, 'json').map((problem) => problem.code)).toContain(code)
  },
  20_000,
)

test('no text makes it throw', () => {
  const fragment = fc.constantFrom(
    'apiVersion',
    'engine',
    'type',
    'noop',
    'wasm',
    ': ',
    '\n',
    '  ',
    '- ',
    '[',
    ']',
    '{',
    '}',
    ',',
    '&a',
    ' *a',
    '!!str',
    '"',
    "'",
    '|',
    '>',
    '#',
    '?',
    '<<',
    '---',
    '...',
    '%',
    '0x1',
    '.inf',
    'inputs',
    'source',
    'url',
    '\t',
    '\u0000',
    '\ud800',
    '\\',
  )
  fc.assert(
    fc.property(
      fc.oneof(
        fc.array(fragment, { maxLength: 40 }).map((parts) => parts.join('')),
        fc.string({ unit: 'binary' }),
      ),
      (text) => {
        for (const format of ['yaml', 'json'] as const) {
          const result = readJob(text, { file: 'job', format })
          if (!result.ok) for (const { line, column } of result.problems) expect(line > 0 && column > 0 && line <= text.split('\n').length).toBe(true)
        }
      },
    ),
    { numRuns: 1000 },
  )
})

test('a message says what is missing or too much: a unit, the largest size, one character', () => {
  const head = 'apiVersion: skrei/v1\nengine: { type: noop }\n'
  const said = (rest: string): string => problemsOf(`${head}${rest}`)[0]?.message ?? ''
  expect(said('timeouts: { queue: 30 }')).toMatch(/found number 30, expected a duration .*; its unit is missing: `30s` are seconds$/)
  expect(said('resources: { memory: 1Ei }')).toContain('expected a quantity of whole bytes below 8Pi')
  expect(said('network: { mode: http, domains: [""] }')).toMatch(/at least 1 character$/)
})
