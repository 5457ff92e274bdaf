/** The same content, once its first piece is there or its end: what goes wrong before that is still an answer of its own. Rejects with what went wrong. */
export const begun = async <T>(content: AsyncIterable<T>): Promise<AsyncIterable<T>> => {
  const iterator = content[Symbol.asyncIterator]()
  let first: IteratorResult<T> | undefined = await iterator.next()
  return {
    [Symbol.asyncIterator]: () => ({
      next: () => {
        const held = first
        first = undefined
        return held === undefined ? iterator.next() : Promise.resolve(held)
      },
      return: async () => {
        await iterator.return?.()
        return { done: true, value: undefined }
      },
    }),
  }
}
