import { sourceConformance } from '@skrei/storage/conformance'
import { httpsSource } from '../src/index.ts'
import { testServer } from './test-server.ts'

sourceConformance({
  name: 'https',
  create: async () => {
    const files = new Map<string, Uint8Array>()
    const server = await testServer((request, response) => {
      const bytes = files.get(request.url ?? '')
      if (bytes === undefined) response.writeHead(404).end('not here')
      else response.writeHead(200, { 'content-length': bytes.length }).end(request.method === 'HEAD' ? undefined : bytes)
    })
    const source = httpsSource({ allowPrivateAddresses: true, attempts: 1 })
    const put = (path: string, bytes: Uint8Array) => {
      files.set(path, bytes)
      return `${server.origin}${path}`
    }
    return {
      source,
      putFile: async (bytes) => ({ type: 'https', url: put(`/data-${files.size}.bin?size=${bytes.length}`, bytes) }),
      putFiles: async (all) => ({ type: 'https', urls: Object.entries(all).map(([path, bytes]) => put(`/several/${encodeURIComponent(path)}`, bytes)) }),
      [Symbol.asyncDispose]: async () => {
        await source[Symbol.asyncDispose]()
        await server[Symbol.asyncDispose]()
      },
    }
  },
  nested: false,
  failing: [
    {
      name: 'a missing file',
      code: 'source-not-found',
      source: async (harness) => {
        const found = await harness.putFile(Buffer.from('x'))
        return { type: 'https', url: `${found.type === 'https' ? found.url : ''}-missing` }
      },
    },
    { name: 'nobody listens', code: 'source-unreachable', source: () => ({ type: 'https', url: 'http://127.0.0.1:1/' }) },
    { name: 'credentials', code: 'source-invalid', source: () => ({ type: 'https', url: 'https://user:password@example.org/' }) },
    { name: 'another scheme', code: 'source-invalid', source: () => ({ type: 'https', url: 'file:///etc/passwd' }) },
    { name: 'no URL', code: 'source-invalid', source: () => ({ type: 'https', url: 'somewhere' }) },
    { name: 'neither', code: 'source-invalid', source: () => ({ type: 'https', urls: [] }) },
  ],
})
