import * as z from 'zod'

/** One condition of a selector. `in` and `notIn` carry values; `=`, `==` and `!=` are read as `in` and `notIn` with one value, as in Kubernetes. */
export type Requirement =
  | { readonly key: string; readonly operator: 'in' | 'notIn'; readonly values: readonly string[] }
  | { readonly key: string; readonly operator: 'exists' | 'notExists' }

/** A parsed label selector: every requirement must hold. Empty matches everything. */
export type Selector = readonly Requirement[]

/** What is wrong with a selector and where: `offset` counts UTF-16 units from its start. */
export interface SelectorError {
  readonly offset: number
  readonly found: string
  readonly expected: string
}

export const labelKeyPattern = /^([a-z0-9]([a-z0-9.-]{0,251}[a-z0-9])?\/)?[A-Za-z0-9]([A-Za-z0-9._-]{0,61}[A-Za-z0-9])?$/
export const labelValuePattern = /^([A-Za-z0-9]([A-Za-z0-9._-]{0,61}[A-Za-z0-9])?)?$/

interface Token {
  readonly text: string
  readonly offset: number
}

const tokenPattern = /[ \t\r\n]*(==|!=|[=!(),<>]|[^ \t\r\n=!(),<>]+|$)/y
const special = /^(==|!=|[=!(),<>]|)$/

class Refused extends Error {
  readonly error: SelectorError
  constructor(token: Token, expected: string, found = token.text === '' ? 'the end' : `"${token.text.slice(0, 60)}"`) {
    super(expected)
    this.error = { offset: token.offset, found, expected }
  }
}

/**
 * Reads a label selector with the grammar of Kubernetes (apimachinery `labels.Parse`), without `<` and `>`:
 * `a=b`, `a==b`, `a!=b`, `a in (x, y)`, `a notin (x)`, `a`, `!a`, joined by commas.
 */
export const parseSelector = (text: string): { readonly ok: true; readonly selector: Selector } | { readonly ok: false; readonly error: SelectorError } => {
  let position = 0
  const peek = (): Token => {
    tokenPattern.lastIndex = position
    const match = tokenPattern.exec(text)
    const token = match?.[1] ?? ''
    return { text: token, offset: match ? match.index + match[0].length - token.length : text.length }
  }
  const take = (): Token => {
    const token = peek()
    position = token.offset + token.text.length
    return token
  }
  const key = (): string => {
    const token = take()
    if (special.test(token.text)) throw new Refused(token, 'a label key')
    if (!labelKeyPattern.test(token.text)) {
      throw new Refused(
        token,
        'a label key: up to 63 letters, digits, "-", "_" and ".", beginning and ending with a letter or digit, with an optional DNS prefix and "/"',
      )
    }
    return token.text
  }
  const value = (): string => {
    // An absent value is the empty one, as in Kubernetes: `a=` and `a in (x,)`.
    if (['', ',', ')'].includes(peek().text)) return ''
    const token = take()
    if (special.test(token.text)) throw new Refused(token, 'a label value')
    if (!labelValuePattern.test(token.text)) {
      throw new Refused(token, 'a label value: up to 63 letters, digits, "-", "_" and ".", beginning and ending with a letter or digit')
    }
    return token.text
  }
  const values = (): string[] => {
    const open = take()
    if (open.text !== '(') throw new Refused(open, '"(" and a list of values')
    if (peek().text === ')') throw new Refused(peek(), 'at least one value')
    const found = new Set([value()])
    for (let token = take(); token.text !== ')'; token = take()) {
      if (token.text !== ',') throw new Refused(token, '"," or ")"')
      found.add(value())
    }
    return [...found]
  }
  const requirement = (): Requirement => {
    if (peek().text === '!') {
      take()
      return { key: key(), operator: 'notExists' }
    }
    const name = key()
    const operator = peek()
    switch (operator.text) {
      case '':
      case ',':
        return { key: name, operator: 'exists' }
      case '=':
      case '==':
        take()
        return { key: name, operator: 'in', values: [value()] }
      case '!=':
        take()
        return { key: name, operator: 'notIn', values: [value()] }
      case 'in':
        take()
        return { key: name, operator: 'in', values: values() }
      case 'notin':
        take()
        return { key: name, operator: 'notIn', values: values() }
      default:
        throw new Refused(operator, '"=", "!=", "in", "notin", "," or the end')
    }
  }
  try {
    const selector: Requirement[] = []
    if (peek().text === '') return { ok: true, selector }
    for (;;) {
      selector.push(requirement())
      const token = take()
      if (token.text === '') return { ok: true, selector }
      if (token.text !== ',') throw new Refused(token, '"," or the end')
    }
  } catch (error) {
    if (error instanceof Refused) return { ok: false, error: error.error }
    throw error
  }
}

const labelOf = (labels: Readonly<Record<string, string>>, key: string): string | undefined => (Object.hasOwn(labels, key) ? labels[key] : undefined)

/** Whether labels satisfy every requirement. As in Kubernetes, `!=` and `notin` hold where the key is absent. */
export const matches = (selector: Selector, labels: Readonly<Record<string, string>>): boolean =>
  selector.every((requirement) => {
    const value = labelOf(labels, requirement.key)
    switch (requirement.operator) {
      case 'exists':
        return value !== undefined
      case 'notExists':
        return value === undefined
      case 'in':
        return value !== undefined && requirement.values.includes(value)
      case 'notIn':
        return value === undefined || !requirement.values.includes(value)
    }
  })

/** A label selector as in Kubernetes: `region in (eu, us)`, `!spot`, `tier=gold`. Kept as text; see {@link parseSelector}. */
export const selectorSchema = z
  .string()
  .min(1)
  .max(1024)
  .superRefine((text, context) => {
    const parsed = parseSelector(text)
    if (parsed.ok) return
    const { expected, found, offset } = parsed.error
    context.addIssue({ code: 'custom', input: text, message: `expected ${expected}`, params: { code: 'bad-selector', found, offset } })
  })
  .meta({ examples: ['region in (eu, us)', '!spot', 'tier=gold'] })
