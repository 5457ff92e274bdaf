import { type Alias, Composer, isAlias, isMap, isScalar, isSeq, Lexer, type LineCounter, type ParsedNode, Parser, type Scalar, type YAMLMap } from 'yaml'
import { jsonError } from './json-syntax.ts'
import { type Finding, type Path, shorten } from './problem.ts'

/** Bounds of a job file, checked before or while it is parsed. */
export const limits = {
  /** Size in bytes of UTF-8. */
  bytes: 2 ** 20,
  /** Lexical tokens: what a megabyte of brackets is made of. */
  tokens: 250_000,
  /** Levels of lists and mappings. */
  depth: 64,
  aliases: 100,
  /** Values that all aliases together stand for. */
  aliasedValues: 10_000,
  /** Problems reported in full; the rest is counted. */
  problems: 20,
} as const

export interface Place {
  readonly line: number
  readonly column: number
}

/** Finds where a value, or with `key` its key, stands in the file; where the path leads to nothing, its nearest ancestor. Lines and columns count from 1. */
export type Places = (path: Path, at?: 'key') => Place

/** Collects findings up to the limit and counts the rest. */
export interface Findings {
  readonly list: Finding[]
  total: number
}

export const report = (findings: Findings, finding: Finding): void => {
  findings.total += 1
  if (findings.list.length < limits.problems) findings.list.push(finding)
}

export interface Document {
  readonly value: unknown
  /** Offset in the text of a finding. */
  readonly offsetOf: (finding: Pick<Finding, 'path' | 'at' | 'offset' | 'within'>) => number
}

type Node = ParsedNode

const jsonNumber = /^-?(?:0|[1-9]\d*)(?:\.\d+)?(?:[eE][+-]?\d+)?$/

const tooLarge = (message: string, offset = 0): Finding => ({ code: 'too-large', message, path: [], offset })

/** The YAML nodes of the one document, or undefined with what is wrong reported. */
const compose = (text: string, lines: LineCounter, findings: Findings): Node | null | undefined => {
  const parser = new Parser(lines.addNewLine)
  lines.addNewLine(0)
  const tokens: ReturnType<Parser['next']> extends Generator<infer T> ? T[] : never = []
  let documents = 0
  const syntaxError = (offset: number, message: string): void =>
    report(findings, { code: 'yaml-syntax', message: `the file is not YAML here: ${message.length > 200 ? shorten(message) : message}`, path: [], offset })
  const accept = (token: (typeof tokens)[number]): boolean => {
    if (token.type === 'directive')
      report(findings, {
        code: 'yaml-unsupported',
        message: `found the directive "${shorten(token.source)}": job files have none`,
        path: [],
        offset: token.offset,
      })
    if (token.type === 'error') syntaxError(token.offset, token.message)
    if (token.type === 'document') documents += 1
    if (documents > 1)
      report(findings, { code: 'yaml-unsupported', message: 'found a second YAML document: a file holds one job', path: [], offset: token.offset })
    tokens.push(token)
    return findings.total === 0
  }
  let count = 0
  for (const lexeme of new Lexer().lex(text)) {
    count += 1
    if (count > limits.tokens) {
      report(findings, tooLarge(`found more than ${limits.tokens} pieces: a job file is smaller; put data into a source`, parser.offset))
      return undefined
    }
    for (const token of parser.next(lexeme)) if (!accept(token)) return undefined
    // One entry of the stack is the document.
    if (parser.stack.length > limits.depth + 1) {
      report(findings, { code: 'too-deep', message: `found lists and mappings nested more than ${limits.depth} deep`, path: [], offset: parser.offset })
      return undefined
    }
  }
  for (const token of parser.end()) if (!accept(token)) return undefined
  // `uniqueKeys` compares every key with every other one: keys are checked below, in linear time.
  const composer = new Composer({ uniqueKeys: false, prettyErrors: false, merge: false, logLevel: 'silent' })
  // Its own handler makes an Error with a stack for each of what may be a hundred thousand: seconds for one hostile file.
  composer['onError'] = (source: number | readonly number[] | { readonly offset: number }, _: string, message: string, warning?: boolean) => {
    if (warning === true) return
    syntaxError(typeof source === 'number' ? source : 'offset' in source ? source.offset : (source[0] ?? 0), message)
    if (findings.total > limits.problems) throw enough
  }
  try {
    const [document] = composer.compose(tokens, true, text.length)
    return findings.total > 0 ? undefined : ((document?.contents as Node | null | undefined) ?? null)
  } catch (error) {
    if (error === enough) return undefined
    throw error
  }
}

const enough = new Error('enough problems')

/** Turns nodes into plain JSON values, and refuses what JSON does not have. */
const convert = (root: Node, findings: Findings, targets: Map<Alias, Node>): unknown => {
  const anchors = new Map<string, { readonly node: Node; readonly size: number }>()
  let visited = 0
  let aliases = 0
  let aliased = 0
  /** Inside an alias everything has been reported already. */
  let inAlias = 0
  const refuse = (node: { range?: readonly number[] | null | undefined }, path: Path, finding: Omit<Finding, 'path' | 'offset'>): undefined => {
    if (inAlias === 0) report(findings, { ...finding, path, offset: node.range?.[0] ?? 0 })
    return undefined
  }
  const keyOf = (node: unknown, map: YAMLMap, path: Path): string | undefined => {
    if (!isScalar(node) || (node.value === null && (node.source ?? '') === '')) {
      return refuse(isScalar(node) || isMap(node) || isSeq(node) || isAlias(node) ? node : map, path, {
        code: 'yaml-unsupported',
        message: 'found a key that is not text: keys in a job file are plain words',
      })
    }
    const key = typeof node.value === 'string' ? node.value : (node.source ?? String(node.value))
    if (node.tag !== undefined || node.anchor !== undefined)
      return refuse(node, path, {
        code: 'yaml-unsupported',
        message: `found the key "${shorten(key)}" with a tag or an anchor: job files do not have them on keys`,
      })
    if (key === '__proto__') return refuse(node, path, { code: 'unknown-key', message: 'found the key `__proto__`: no key has this name' })
    if (key === '<<' && node.type === 'PLAIN')
      return refuse(node, path, { code: 'yaml-unsupported', message: 'found a merge key `<<`: job files do not have them; write the keys out' })
    if (!key.isWellFormed() || key.startsWith('\ufeff'))
      return refuse(node, path, { code: 'bad-value', message: 'found a key that is not Unicode text, or begins with a byte order mark' })
    return key
  }
  const scalar = (node: Scalar, path: Path): unknown => {
    const { value } = node
    if (typeof value === 'number' || typeof value === 'bigint') {
      const source = node.source ?? String(value)
      if (!jsonNumber.test(source)) {
        const finite = Number.isFinite(Number(value))
        return refuse(node, path, {
          code: 'bad-value',
          message: `found the number ${shorten(source)}: ${finite ? `write ${String(value)} if it is a number, or put it into quotes if it is text` : 'only finite numbers are allowed; put it into quotes if it is text'}`,
          found: shorten(source),
          expected: finite ? 'a decimal number' : 'a finite number',
        })
      }
      const number = Number(source)
      if (!Number.isFinite(number) || (Number.isInteger(number) && !Number.isSafeInteger(number))) {
        return refuse(node, path, {
          code: 'bad-value',
          message: `found the number ${shorten(source)}, which is too large to be exact; put it into quotes if it is text`,
          found: shorten(source),
          expected: `a number up to ${Number.MAX_SAFE_INTEGER}`,
        })
      }
      return number === 0 ? 0 : number
    }
    if (typeof value === 'string' && value.startsWith('\ufeff'))
      return refuse(node, path, {
        code: 'bad-value',
        message: 'found text that begins with a byte order mark, which does not survive in the canonical form: remove it, or give the content as base64',
      })
    if (typeof value === 'string' && !value.isWellFormed())
      return refuse(node, path, { code: 'bad-value', message: 'found half of a surrogate pair, which is not Unicode text' })
    return value
  }
  const visit = (node: Node | null, path: Path): unknown => {
    visited += 1
    if (node === null) return null
    if (path.length > limits.depth) return refuse(node, path, { code: 'too-deep', message: `found lists and mappings nested more than ${limits.depth} deep` })
    if (isAlias(node)) {
      aliases += 1
      const target = anchors.get(node.source)
      if (!target)
        return refuse(node, path, {
          code: 'yaml-syntax',
          message: `found the alias *${shorten(node.source)}, but no anchor &${shorten(node.source)} that ends before it`,
        })
      targets.set(node, target.node)
      aliased += target.size
      if (aliases > limits.aliases || aliased > limits.aliasedValues) {
        // Said once: what follows would only repeat it.
        if (aliases !== Number.POSITIVE_INFINITY)
          report(findings, {
            code: 'too-many-aliases',
            path,
            offset: node.range?.[0] ?? 0,
            message: `found more than ${limits.aliases} aliases, or aliases that stand for more than ${limits.aliasedValues} values: write them out`,
          })
        aliases = Number.POSITIVE_INFINITY
        return undefined
      }
      inAlias += 1
      try {
        return visit(target.node, path)
      } finally {
        inAlias -= 1
      }
    }
    if (node.tag !== undefined) refuse(node, path, { code: 'yaml-unsupported', message: `found the tag ${shorten(node.tag)}: job files do not have tags` })
    const before = visited
    const value = isMap(node)
      ? mapping(node, path)
      : isSeq(node)
        ? node.items.map((item, index) => visit(item as Node | null, [...path, index]))
        : scalar(node as Scalar, path)
    if (node.anchor !== undefined && inAlias === 0) anchors.set(node.anchor, { node, size: visited - before + 1 })
    return value
  }
  const mapping = (map: YAMLMap, path: Path): Record<string, unknown> => {
    const result: Record<string, unknown> = {}
    const seen = new Set<string>()
    for (const { key: keyNode, value } of map.items) {
      const key = keyOf(keyNode, map, path)
      if (key === undefined) continue
      if (seen.has(key)) {
        refuse(keyNode as Scalar, [...path, key], {
          code: 'duplicate-key',
          message: `found the key \`${shorten(key)}\` a second time in one mapping: remove one of the two`,
        })
        continue
      }
      seen.add(key)
      result[key] = visit(value as Node | null, [...path, key])
    }
    return result
  }
  return visit(root, [])
}

/**
 * Reads a text as YAML 1.2 or JSON into plain values with their places. Everything about it is bounded: see {@link limits}. What is wrong is reported
 * in `findings`; a document comes back only if it could be parsed at all, and what could not be read in it is `undefined`.
 */
export const readDocument = (text: string, format: 'yaml' | 'json', lines: LineCounter, findings: Findings): Document | undefined => {
  if (text.length > limits.bytes || Buffer.byteLength(text) > limits.bytes) {
    lines.addNewLine(0)
    report(
      findings,
      tooLarge(
        `found ${text.length > limits.bytes ? text.length : Buffer.byteLength(text)} bytes: a job file has at most ${limits.bytes}; put data into a source`,
      ),
    )
    return undefined
  }
  if (format === 'json') {
    const error = jsonError(text)
    if (error) {
      lines.addNewLine(0)
      for (let index = text.indexOf('\n'); index >= 0 && index < error.offset; index = text.indexOf('\n', index + 1)) lines.addNewLine(index + 1)
      const found =
        error.offset >= text.length ? 'the end of the file' : JSON.stringify(String.fromCodePoint(text.codePointAt(error.offset) ?? 0).toWellFormed())
      report(findings, {
        code: 'json-syntax',
        message: `the file is not JSON here: found ${found}, expected ${error.expected}`,
        path: [],
        offset: error.offset,
        found,
        expected: error.expected,
      })
      return undefined
    }
  }
  const root = compose(text, lines, findings)
  if (root === undefined) return undefined
  const targets = new Map<Alias, Node>()
  const value = root === null ? null : convert(root, findings, targets)
  const follow = (node: unknown): unknown => (isAlias(node) ? (targets.get(node) ?? node) : node)
  const offsetOf: Document['offsetOf'] = ({ path, at, offset, within }) => {
    if (offset !== undefined) return offset
    let node: unknown = root
    let key: unknown
    let found = root?.range?.[0] ?? 0
    for (const part of path) {
      const parent = follow(node)
      key = undefined
      if (isMap(parent)) {
        const pair = parent.items.find(
          (item) => isScalar(item.key) && (item.key.value === part || (typeof item.key.value !== 'string' && item.key.source === part)),
        )
        if (!pair) return found
        key = pair.key
        node = pair.value
      } else if (isSeq(parent)) node = parent.items[Number(part)]
      else return found
      found = startOf(node) ?? startOf(key) ?? found
    }
    if (at === 'key') return startOf(key) ?? found
    const target = follow(node)
    // Inside a scalar the column is exact where what is written is what is meant: no escapes, one line.
    if (within !== undefined && isScalar(target) && typeof target.value === 'string') {
      const start = found + (target.type === 'PLAIN' ? 0 : 1)
      if (target === node && text.startsWith(target.value, start)) return start + within
    }
    return found
  }
  return { value, offsetOf }
}

const startOf = (node: unknown): number | undefined =>
  typeof node === 'object' && node !== null && 'range' in node && Array.isArray(node.range) ? Number(node.range[0]) : undefined
