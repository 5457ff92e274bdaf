import type { Call } from '../call.ts'
import { type ApiAnswer, jsonAnswer } from '../exchange.ts'
import { openApiDocument } from '../open-api.ts'

let document: string | undefined

export const nodeHandlers = {
  health: ({ service }: Call<'health'>): ApiAnswer => jsonAnswer(200, service.health()),
  node: ({ service }: Call<'node'>): ApiAnswer => jsonAnswer(200, service.node()),
  nodes: ({ service }: Call<'nodes'>): ApiAnswer => jsonAnswer(200, { nodes: service.nodes() }),
  peers: ({ service }: Call<'peers'>): ApiAnswer => jsonAnswer(200, { peers: service.peers() }),
  metrics: async ({ service }: Call<'metrics'>): Promise<ApiAnswer> => ({
    status: 200,
    headers: { 'content-type': 'text/plain; version=0.0.4; charset=utf-8' },
    body: await service.metrics(),
  }),
  openApi: (_: Call<'openApi'>): ApiAnswer => {
    document ??= JSON.stringify(openApiDocument())
    return { status: 200, headers: { 'content-type': 'application/json' }, body: document }
  },
}
