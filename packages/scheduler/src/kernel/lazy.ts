const readersOf = Symbol('readers')
const knownOf = Symbol('known')

interface Facts {
  readonly [readersOf]: Readonly<Record<string, () => unknown>>
  readonly [knownOf]: Record<string, unknown>
}

// Facts are made for every event: to define their getters each time would cost more than most events do. There are as many prototypes as sets of names.
const prototypes = new Map<string, object>()

const prototypeOf = (names: readonly string[]): object => {
  const all = names.join()
  const made = prototypes.get(all)
  if (made) return made
  const prototype = {}
  for (const name of names)
    Object.defineProperty(prototype, name, {
      get(this: Facts) {
        const known = this[knownOf]
        if (!(name in known)) known[name] = this[readersOf][name]?.()
        return known[name]
      },
    })
  prototypes.set(all, prototype)
  return prototype
}

/** Facts that are read at most once, and only when asked for: most events need few of them. Their names are known to `in`, not to a spread. */
export const lazy = <T extends object>(readers: { readonly [K in keyof T]: () => T[K] }): T => {
  const facts = { __proto__: prototypeOf(Object.keys(readers)), [readersOf]: readers, [knownOf]: { __proto__: null } }
  return facts as unknown as T
}
