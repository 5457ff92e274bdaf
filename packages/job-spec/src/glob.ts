/** What is wrong with a pattern and where: `offset` counts UTF-16 units from its start. */
export interface GlobError {
  readonly offset: number
  readonly expected: string
}

/** `literal`: the one character that fits, where it is one. */
type Atom = { readonly type: 'one'; readonly test: (character: string) => boolean; readonly literal?: string } | { readonly type: 'star' }
type Segment = readonly Atom[] | 'globstar'
type Pattern = readonly Segment[]

/** Braces expand into this many patterns at most, of this many characters together. */
const maxAlternatives = 256
const maxExpanded = 16_384

class Refused extends Error {
  readonly error: GlobError
  constructor(offset: number, expected: string) {
    super(expected)
    this.error = { offset, expected }
  }
}

/** A character of the pattern after brace expansion; `literal` ones come from an escape. */
interface Unit {
  readonly character: string
  readonly literal: boolean
  readonly offset: number
}

const unitsOf = (pattern: string): Unit[] => {
  const units: Unit[] = []
  let offset = 0
  let escaped: number | undefined
  for (const character of pattern) {
    if (escaped !== undefined) {
      units.push({ character, literal: true, offset: escaped })
      escaped = undefined
    } else if (character === '\\') escaped = offset
    else units.push({ character, literal: false, offset })
    offset += character.length
  }
  if (escaped !== undefined) throw new Refused(escaped, 'a character after "\\"')
  return units
}

const is = (unit: Unit | undefined, character: string): boolean => unit !== undefined && !unit.literal && unit.character === character

/** The index after the `]` that ends the class at `start`. */
const endOfClass = (units: readonly Unit[], start: number): number => {
  let index = start + 1
  if (is(units[index], '!') || is(units[index], '^')) index += 1
  // As in POSIX, a "]" that comes first is a member.
  if (is(units[index], ']')) index += 1
  while (index < units.length && !is(units[index], ']')) index += 1
  if (index >= units.length) throw new Refused(units[start]?.offset ?? 0, '"]" that ends the character class; write "\\[" for the character itself')
  return index + 1
}

/** All texts that the braces stand for. Bounded, and each step is charged for what it copies. */
const expand = (units: readonly Unit[]): Unit[][] => {
  let position = 0
  const sequence = (depth: number, inBraces: boolean): Unit[][] => {
    if (depth > 16) throw new Refused(units[position]?.offset ?? 0, 'braces nested at most 16 deep')
    let results: Unit[][] = [[]]
    const append = (tails: readonly (readonly Unit[])[], offset: number): void => {
      const size = results.length * tails.length
      const characters = tails.reduce((sum, tail) => sum + tail.length, 0) * results.length + results.reduce((sum, head) => sum + head.length, 0) * tails.length
      if (size > maxAlternatives || characters > maxExpanded)
        throw new Refused(offset, `braces that expand to at most ${maxAlternatives} patterns of ${maxExpanded} characters together`)
      results = tails.length === 1 ? results : results.flatMap((head) => tails.map((tail) => [...head, ...tail]))
      if (tails.length === 1) for (const head of results) head.push(...(tails[0] ?? []))
    }
    while (position < units.length) {
      const unit = units[position] as Unit
      if (is(unit, '[')) {
        const end = endOfClass(units, position)
        append([units.slice(position, end)], unit.offset)
        position = end
      } else if (is(unit, '{')) {
        position += 1
        const branches: Unit[][] = []
        let count = 0
        for (;;) {
          branches.push(...sequence(depth + 1, true))
          count += 1
          const end = units[position]
          if (end === undefined) throw new Refused(unit.offset, '"}" that ends the braces; write "\\{" for the character itself')
          position += 1
          if (is(end, '}')) break
          if (branches.length > maxAlternatives)
            throw new Refused(unit.offset, `braces that expand to at most ${maxAlternatives} patterns of ${maxExpanded} characters together`)
        }
        if (count < 2) throw new Refused(unit.offset, 'at least two alternatives in braces, such as {csv,tsv}; write "\\{" for the character itself')
        append(branches, unit.offset)
      } else if (inBraces && (is(unit, ',') || is(unit, '}'))) return results
      else {
        let end = position + 1
        while (end < units.length && !['[', '{', ',', '}'].some((character) => is(units[end], character))) end += 1
        append([units.slice(position, end)], unit.offset)
        position = end
      }
    }
    return results
  }
  return sequence(0, false)
}

const characterClass = (units: readonly Unit[]): Atom => {
  const start = units[0]?.offset ?? 0
  let index = 1
  const negated = is(units[1], '!') || is(units[1], '^')
  if (negated) index += 1
  const ranges: [number, number][] = []
  while (index < units.length - 1) {
    const from = units[index] as Unit
    const to = is(units[index + 1], '-') && index + 2 < units.length - 1 ? (units[index + 2] as Unit) : from
    if (from.character === '/' || to.character === '/') throw new Refused(from.offset, 'no "/" in a character class')
    const range: [number, number] = [from.character.codePointAt(0) ?? 0, to.character.codePointAt(0) ?? 0]
    if (range[0] > range[1]) throw new Refused(from.offset, 'a range from the lower to the higher character')
    ranges.push(range)
    index += to === from ? 1 : 3
  }
  if (ranges.length === 0) throw new Refused(start, 'at least one character in a character class')
  return {
    type: 'one',
    test: (character) => {
      const code = character.codePointAt(0) ?? 0
      return ranges.some(([from, to]) => code >= from && code <= to) !== negated
    },
  }
}

const segmentOf = (units: readonly Unit[], offset: number): Segment => {
  if (units.length === 0) throw new Refused(offset, 'a relative pattern without empty parts: no "/" at the start, at the end or twice in a row')
  const text = units.map((unit) => unit.character).join('')
  if (text === '.' || text === '..') throw new Refused(offset, 'no "." or ".." part')
  if (units.length === 2 && units.every((unit) => is(unit, '*'))) return 'globstar'
  const atoms: Atom[] = []
  let index = 0
  while (index < units.length) {
    const unit = units[index] as Unit
    if (is(unit, '[')) {
      const end = endOfClass(units, index)
      atoms.push(characterClass(units.slice(index, end)))
      index = end
    } else {
      if (is(unit, '*')) {
        if (atoms.at(-1)?.type !== 'star') atoms.push({ type: 'star' })
      } else if (is(unit, '?')) atoms.push({ type: 'one', test: () => true })
      else atoms.push({ type: 'one', test: (character) => character === unit.character, literal: unit.character })
      index += 1
    }
  }
  return atoms
}

const patternOf = (units: readonly Unit[], length: number): Pattern => {
  const segments: Segment[] = []
  let start = 0
  let index = 0
  while (index <= units.length) {
    if (index === units.length || units[index]?.character === '/') {
      const segment = segmentOf(units.slice(start, index), units[start]?.offset ?? length)
      // Two in a row mean what one means.
      if (segment !== 'globstar' || segments.at(-1) !== 'globstar') segments.push(segment)
      start = index + 1
      index += 1
    } else index = is(units[index], '[') ? endOfClass(units, index) : index + 1
  }
  // `a/**` is what lies below `a`, not `a` itself.
  if (segments.at(-1) === 'globstar') segments.push([{ type: 'star' }])
  return segments
}

/**
 * Matches a sequence against a pattern with wildcards that take any number of items. Going back to the last wildcard alone is enough,
 * so the cost is at most (items x pattern), never exponential.
 */
const wildcardMatch = <P, I>(pattern: readonly P[], items: readonly I[], wild: (part: P) => boolean, fits: (part: P, item: I) => boolean): boolean => {
  let part = 0
  let item = 0
  let resumePart = -1
  let resumeItem = 0
  while (item < items.length) {
    const current = pattern[part]
    if (part < pattern.length && wild(current as P)) {
      resumePart = part + 1
      resumeItem = item
      part += 1
    } else if (part < pattern.length && fits(current as P, items[item] as I)) {
      part += 1
      item += 1
    } else if (resumePart >= 0) {
      resumeItem += 1
      part = resumePart
      item = resumeItem
    } else return false
  }
  while (part < pattern.length && wild(pattern[part] as P)) part += 1
  return part === pattern.length
}

/** What a pattern such as `*.csv` comes to: how a name begins and how it ends. */
type Affixes = { readonly prefix: string; readonly suffix: string }

/** A pattern of one segment with one `*` and no other wildcard; undefined for any other. */
const affixesOf = (pattern: Pattern): Affixes | undefined => {
  const [segment] = pattern
  if (pattern.length !== 1 || segment === undefined || segment === 'globstar') return undefined
  const star = segment.findIndex((atom) => atom.type === 'star')
  const literals = segment.map((atom) => (atom.type === 'one' ? atom.literal : ''))
  if (star < 0 || literals.includes(undefined) || segment.findLastIndex((atom) => atom.type === 'star') !== star) return undefined
  const [prefix, suffix] = [literals.slice(0, star).join(''), literals.slice(star + 1).join('')]
  // Half of a surrogate pair would match half a character.
  return prefix.isWellFormed() && suffix.isWellFormed() ? { prefix, suffix } : undefined
}

const matchAffixes = ({ prefix, suffix }: Affixes, path: string): boolean =>
  path.length >= prefix.length + suffix.length && path.startsWith(prefix) && path.endsWith(suffix) && !path.includes('/')

const matchSegment = (segment: Segment, name: readonly string[]): boolean =>
  segment !== 'globstar' &&
  wildcardMatch(
    segment,
    name,
    (atom) => atom.type === 'star',
    (atom, character) => atom.type === 'one' && atom.test(character),
  )

/**
 * Reads a pattern: `*` any characters within one part of the path, `?` one, `[a-z]` and `[!a-z]` classes, `**` as a whole part any number of
 * parts (none too, but at the end at least one), `{a,b}` alternatives, `\` takes the next character as it is. Names that begin with a dot are names like others.
 */
export const parseGlob = (
  pattern: string,
): { readonly ok: true; readonly match: (path: string) => boolean } | { readonly ok: false; readonly error: GlobError } => {
  try {
    if (pattern === '') throw new Refused(0, 'a pattern such as *.csv')
    if (pattern.length > 4096) throw new Refused(4096, 'at most 4096 characters')
    const patterns = expand(unitsOf(pattern)).map((units) => patternOf(units, pattern.length))
    const affixes = patterns.map(affixesOf)
    // A million files are matched against patterns that are mostly of this kind.
    if (affixes.every((one) => one !== undefined)) return { ok: true, match: (path) => affixes.some((one) => matchAffixes(one, path)) }
    const match = (path: string): boolean => {
      const names = path.split('/').map((name) => [...name])
      return patterns.some((segments) =>
        wildcardMatch(
          segments,
          names,
          (segment) => segment === 'globstar',
          (segment, name) => matchSegment(segment, name),
        ),
      )
    }
    return { ok: true, match }
  } catch (error) {
    if (error instanceof Refused) return { ok: false, error: error.error }
    throw error
  }
}

/** Thrown by {@link globMatcher} for a pattern that is none. */
export class GlobPatternError extends Error {
  override readonly name = 'GlobPatternError'
  readonly code = 'bad-glob'
  readonly offset: number

  constructor(pattern: string, error: GlobError) {
    super(`the pattern "${pattern.slice(0, 100)}" is wrong at character ${error.offset + 1}: expected ${error.expected}`)
    this.offset = error.offset
  }
}

/**
 * A test of relative, `/`-separated paths against a pattern (see {@link parseGlob}); throws a {@link GlobPatternError} on a bad one.
 * A test takes at most time proportional to the path's length times the expanded pattern's: patterns come from strangers.
 *
 * @example
 * const isTable = globMatcher('**\/*.{csv,tsv}')
 * isTable('2026/november.csv') // true
 */
export const globMatcher = (pattern: string): ((path: string) => boolean) => {
  const parsed = parseGlob(pattern)
  if (!parsed.ok) throw new GlobPatternError(pattern, parsed.error)
  return parsed.match
}
