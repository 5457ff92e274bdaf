/** Facts that are read at most once, and only when asked for: most events need few of them. */
export const lazy = <T extends object>(readers: { readonly [K in keyof T]: () => T[K] }): T => {
  const facts = {} as T
  for (const key of Object.keys(readers) as (keyof T)[]) {
    Object.defineProperty(facts, key, {
      enumerable: true,
      configurable: true,
      get: () => {
        const value = readers[key]()
        Object.defineProperty(facts, key, { enumerable: true, value })
        return value
      },
    })
  }
  return facts
}
