import type { ApiClientOptions } from '@skrei/api/client'

/** A node that is started again is waited for, for some minutes, by what follows a job. Whether it is there at all is asked once, before. */
const retry = { attempts: 60, longest: 5000 }

/** How a client waits for a node that does not answer: told once when it begins to, and once when the node is back. */
export const patience = (url: string, tell: (line: string) => void): Pick<ApiClientOptions, 'retry' | 'fetch' | 'onRetry'> => {
  let isAway = false
  let isTold = false
  return {
    retry,
    fetch: async (...given) => {
      try {
        const response = await fetch(...given)
        if (isTold) tell(`the node at ${url} answers again`)
        isAway = false
        isTold = false
        return response
      } catch (error) {
        isAway = true
        throw error
      }
    },
    onRetry: () => {
      if (!isAway || isTold) return
      isTold = true
      tell(`the node at ${url} does not answer: it is tried again, for some minutes`)
    },
  }
}
