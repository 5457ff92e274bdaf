/** What every path of the API begins with; `metrics` and `openApi` stand outside it. */
export const basePath = '/api/v1'

/** Where each route is: what the server, the document and the client share. Imports nothing, so that the client stays small. `{path}` stands for one segment or more. */
export const endpoints = {
  health: { method: 'GET', path: '/api/v1/health' },
  node: { method: 'GET', path: '/api/v1/node' },
  nodes: { method: 'GET', path: '/api/v1/nodes' },
  peers: { method: 'GET', path: '/api/v1/peers' },
  validate: { method: 'POST', path: '/api/v1/jobs/validate' },
  plan: { method: 'POST', path: '/api/v1/jobs/plan' },
  submit: { method: 'POST', path: '/api/v1/jobs' },
  jobs: { method: 'GET', path: '/api/v1/jobs' },
  job: { method: 'GET', path: '/api/v1/jobs/{id}' },
  spec: { method: 'GET', path: '/api/v1/jobs/{id}/spec' },
  shards: { method: 'GET', path: '/api/v1/jobs/{id}/shards' },
  events: { method: 'GET', path: '/api/v1/jobs/{id}/events' },
  logs: { method: 'GET', path: '/api/v1/jobs/{id}/logs' },
  stop: { method: 'POST', path: '/api/v1/jobs/{id}/stop' },
  result: { method: 'GET', path: '/api/v1/jobs/{id}/results' },
  resultFile: { method: 'GET', path: '/api/v1/jobs/{id}/results/{path}' },
  archive: { method: 'GET', path: '/api/v1/jobs/{id}/archive' },
  blobs: { method: 'POST', path: '/api/v1/blobs' },
  metrics: { method: 'GET', path: '/metrics' },
  openApi: { method: 'GET', path: '/openapi.json' },
} as const

export type RouteName = keyof typeof endpoints
