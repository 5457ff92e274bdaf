import type { Call } from '../call.ts'
import { type ApiAnswer, jsonAnswer } from '../exchange.ts'
import { bodyType, boundedBody } from '../read-body.ts'
import { readTree } from '../tree-reader.ts'

export const blobHandlers = {
  blobs: async ({ service, request, limits, streams }: Call<'blobs'>): Promise<ApiAnswer> => {
    const type = bodyType(request, ['application/octet-stream', 'application/x-tar'])
    const ended = streams.open()
    try {
      const body = boundedBody(request, limits.blobBytes, limits.bodySilence)
      const { signal } = request
      const blob =
        type === 'application/x-tar' ? await service.addTree(readTree(body, limits.treeEntries), { signal }) : await service.addBlob(body, { signal })
      return jsonAnswer(201, blob)
    } finally {
      ended()
    }
  },
}
