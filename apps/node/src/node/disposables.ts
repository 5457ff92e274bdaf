/** What something is made of, ended in reverse order. Node 22 has no AsyncDisposableStack. */
export interface Disposables {
  own<T extends Partial<Disposable & AsyncDisposable>>(part: T): T
  dispose(): Promise<void>
}

export const disposables = (): Disposables => {
  const owned: Partial<Disposable & AsyncDisposable>[] = []
  return {
    own: (part) => {
      owned.push(part)
      return part
    },
    dispose: async () => {
      for (let part = owned.pop(); part !== undefined; part = owned.pop()) {
        if (part[Symbol.asyncDispose] === undefined) part[Symbol.dispose]?.()
        else await part[Symbol.asyncDispose]?.()
      }
    },
  }
}
