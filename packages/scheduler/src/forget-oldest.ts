/** Of a map or a set that has one more than it may: forgets the one that came first. Whoever puts anew what was used keeps what was used last. */
export const forgetOldest = <K>(known: { readonly size: number; keys(): Iterable<K>; delete(key: K): boolean }, most: number): void => {
  if (known.size <= most) return
  for (const oldest of known.keys()) {
    known.delete(oldest)
    return
  }
}
