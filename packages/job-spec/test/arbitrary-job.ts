import * as fc from 'fast-check'
import { type FailureCode, failures, type JobSpec } from '../src/index.ts'

// Whole specs in normal units, with whatever text the format allows.
const text = fc
  .oneof(
    fc.string({ unit: 'grapheme', maxLength: 20 }),
    fc.string({ unit: 'binary', maxLength: 10 }).filter((value) => value.isWellFormed()),
    fc.constantFrom(
      '',
      ' ',
      'null',
      'true',
      '~',
      '1',
      '1e3',
      '0o10',
      '010',
      '1_000',
      '.inf',
      '- a',
      '#',
      ': ',
      '*a',
      '&a',
      '!t',
      '<<',
      '|',
      '>',
      '"',
      "'",
      '\n',
      ' \n a',
      'a\n\n',
      '\t',
      'yes',
      '---',
      '...',
      '%',
      '@',
      '`',
      '\u2028',
      '2001-01-01',
      'a'.repeat(200),
      '\r\n',
      'a: b',
      'a #b',
      '[',
      '{}',
    ),
  )
  .filter((value) => !value.startsWith('\ufeff'))
const argument = text.filter((value) => !value.includes('\0'))
const exact = <T extends Record<string, fc.Arbitrary<unknown>>, K extends keyof T & string>(model: T, requiredKeys: K[]) =>
  fc.record(model, { requiredKeys, noNullPrototype: true })
const sha256 = fc.string({ unit: fc.constantFrom(...'0123456789abcdef'), minLength: 64, maxLength: 64 })
const url = fc.webUrl({ withQueryParameters: true })
const cid = fc.constantFrom(
  'bafybeigdyrzt5sfp7udm7hu76uh7y26nf3efuylqabf3oclgtqy55fbzdi',
  'QmYwAPJzv5CZsnA625s3Xf2nemtYgPpHdWEz79ojWnPbdG',
  'k2jmtxrqtd6fqkmsqklhbtsnjcj1jutjmhpbqbxwd5yz4vcyhsb8wm33',
)
const source = fc.oneof(
  exact({ type: fc.constant('https' as const), url, sha256 }, ['type', 'url']),
  exact({ type: fc.constant('https' as const), urls: fc.array(url, { minLength: 1, maxLength: 3 }) }, ['type', 'urls']),
  exact({ type: fc.constant('ipfs' as const), cid: cid.filter((value) => !value.startsWith('k')), sha256 }, ['type', 'cid']),
  exact({ type: fc.constant('local' as const), path: argument.filter((value) => value !== '' && !value.split('/').includes('..')), sha256 }, ['type', 'path']),
  exact({ type: fc.constant('inline' as const), text, sha256 }, ['type', 'text']),
  exact({ type: fc.constant('inline' as const), base64: fc.base64String() }, ['type', 'base64']),
)
const args = fc.array(argument, { maxLength: 3 })
const duration = fc.integer({ min: 1, max: 31_536_000_000 })
const bytes = fc.oneof(
  fc.maxSafeNat(),
  fc.nat(4096).map((value) => value * 2 ** 20),
)
const guestName = fc.string({ unit: fc.constantFrom(...'abc.-_ é:#'), minLength: 3, maxLength: 8 })
const json = fc
  .jsonValue({ maxDepth: 3, noUnicodeString: false })
  .map(
    (value) =>
      JSON.parse(JSON.stringify(value), (key, item) =>
        key === '__proto__' ? undefined : typeof item === 'number' && (item === 0 || (Number.isInteger(item) && !Number.isSafeInteger(item))) ? 0 : item,
      ) as unknown,
  )
const selector = fc.constantFrom('a', '!a', 'region in (eu, us)', 'a=b', 'a == b', 'x/y!=z', 'a notin (b,c)', 'a,!b,c in (d)')
const labelText = fc.stringMatching(/^[A-Za-z0-9]([A-Za-z0-9._-]{0,10}[A-Za-z0-9])?$/)

const engine = (inputs: readonly { readonly path: string }[]) => {
  const [first] = inputs
  return fc.oneof(
    exact(
      {
        type: fc.constant('wasm' as const),
        module: source,
        args,
        stdin: first ? fc.oneof(text, fc.constantFrom({ path: first.path }, { path: `${first.path}/a b` })) : text,
      },
      ['type', 'module'],
    ),
    exact(
      {
        type: fc.constant('docker' as const),
        image: fc.constantFrom('busybox', 'registry.example/a/b@sha256:00', '1'),
        entrypoint: args,
        args,
        workingDirectory: fc.constant('/work dir'),
        user: fc.constantFrom('0', '1000:1000', 'nobody'),
        pull: fc.constantFrom('always', 'missing', 'never'),
      },
      ['type', 'image'],
    ),
    exact(
      {
        type: fc.constant('noop' as const),
        duration,
        exit: fc.integer({ min: 0, max: 255 }),
        stdout: text,
        stderr: text,
        files: fc.dictionary(
          guestName.map((name) => `/${name}`),
          text,
          { maxKeys: 3, noNullPrototype: true },
        ),
      },
      ['type'],
    ),
    fc.tuple(fc.dictionary(text, json, { maxKeys: 4, noNullPrototype: true }), fc.constant('acme.dev/toy')).map(([fields, type]) => {
      const { __proto__: _, ...rest } = fields as Record<string, unknown>
      return { ...Object.fromEntries(Object.entries(rest).filter(([key]) => key.isWellFormed() && !key.startsWith('\ufeff') && key !== '__proto__')), type }
    }),
  )
}

export const arbitraryJob: fc.Arbitrary<JobSpec> = fc
  .tuple(
    fc.nat(3),
    fc.nat(3),
    fc.array(source, { minLength: 3, maxLength: 3 }),
    fc.uniqueArray(guestName, { minLength: 6, maxLength: 6 }),
    fc.uniqueArray(labelText, { minLength: 3, maxLength: 3 }),
  )
  .chain(([inputCount, outputCount, sources, paths, names]) => {
    const inputs = sources.slice(0, inputCount).map((source, index) => ({ source, path: `/in ${index}/${paths[index] ?? ''}` }))
    const outputs = names.slice(0, outputCount).map((name, index) => ({ name, path: `/out/${paths[index + 3] ?? ''}` }))
    const [first] = inputs
    const sharding = fc.oneof(
      exact({ count: fc.integer({ min: 1, max: 1_000_000 }) }, ['count']),
      ...(first
        ? [
            exact(
              {
                input: fc.constant(first.path),
                glob: fc.constantFrom('*', '**/*.{csv,tsv}', '[!a]?', '\\*'),
                basePath: fc.constantFrom('a', 'a/b c'),
                batchSize: fc.integer({ min: 1, max: 1000 }),
              },
              ['input', 'glob'],
            ),
          ]
        : []),
    )
    return engine(inputs).chain((engine) =>
      exact(
        {
          apiVersion: fc.constant('skrei/v1' as const),
          name: fc.constantFrom('count', '1', 'null', 'Wörter zählen: alle', "it's"),
          type: fc.constant('batch' as const),
          engine: fc.constant(engine),
          inputs: fc.constant(inputs),
          outputs: fc.constant(outputs),
          publisher: fc.array(exact({ type: fc.constantFrom('ipfs' as const, 'local' as const, 'none' as const) }, ['type']), { minLength: 1, maxLength: 3 }),
          resources: exact(
            {
              cpu: fc.maxSafeNat(),
              memory: bytes,
              disk: bytes,
              gpu: exact(
                {
                  count: fc.nat(1024),
                  vendor: fc.constantFrom('nvidia', 'amd', 'intel'),
                  model: fc.constantFrom('*A100*', 'MI300X', '{*H100*,*H200*}', '\\[x'),
                  memory: bytes,
                },
                ['count'],
              ),
            },
            [],
          ),
          limits: exact({ stdout: bytes, stderr: bytes, files: fc.integer({ min: 1 }) }, []),
          sharding,
          partial: fc.oneof(
            exact({ policy: fc.constant('fail-fast' as const) }, ['policy']),
            exact({ policy: fc.constant('best-effort' as const), tolerate: fc.nat() }, ['policy']),
          ),
          verification: fc.oneof(
            exact({ method: fc.constant('none' as const) }, ['method']),
            exact({ method: fc.constant('deterministic' as const), replicas: fc.integer({ min: 1, max: 1000 }), stdout: fc.boolean() }, ['method']),
            exact(
              {
                method: fc.constant('deterministic' as const),
                errorTarget: fc.double({ min: 1e-12, max: 0.99, noNaN: true }),
                adversaryShare: fc.double({ min: 1e-12, max: 0.49, noNaN: true }),
              },
              ['method', 'errorTarget', 'adversaryShare'],
            ),
          ),
          timeouts: exact({ queue: duration, execution: duration, total: duration }, []),
          retry: exact(
            {
              attempts: fc.integer({ min: 1, max: 100 }),
              on: fc.subarray(Object.keys(failures) as FailureCode[]),
              backoff: duration,
              perNode: fc.integer({ min: 1, max: 100 }),
            },
            [],
          ),
          constraints: fc.array(selector, { maxLength: 3 }),
          prefer: fc.array(selector, { maxLength: 3 }),
          env: fc.dictionary(
            fc.constantFrom('A', 'b_1', 'constructor', '_', 'toString', 'NULL'),
            fc.oneof(argument, exact({ secret: text.filter((value) => value !== '') }, ['secret'])),
            { maxKeys: 3, noNullPrototype: true },
          ),
          labels: fc.dictionary(labelText, fc.oneof(labelText, fc.constantFrom('', 'true', '1')), { maxKeys: 3, noNullPrototype: true }),
          network:
            engine.type === 'wasm'
              ? exact({ mode: fc.constant('none' as const) }, ['mode'])
              : fc.oneof(
                  exact({ mode: fc.constantFrom('none' as const, 'full' as const) }, ['mode']),
                  exact({ mode: fc.constant('http' as const), domains: fc.constant(['example.org', '*.a-b.example']) }, ['mode']),
                ),
        },
        first ? ['apiVersion', 'engine', 'inputs'] : ['apiVersion', 'engine'],
      ),
    )
  }) as fc.Arbitrary<JobSpec>
