import { execFile } from 'node:child_process'
import { createHash } from 'node:crypto'
import { chmod, copyFile, mkdir, mkdtemp, rm, symlink } from 'node:fs/promises'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { gzipSync } from 'node:zlib'

const digestOf = (bytes: Uint8Array): string => `sha256:${createHash('sha256').update(bytes).digest('hex')}`
const manifestType = 'application/vnd.docker.distribution.manifest.v2+json'

/** An image as registries hold it. */
export interface BuiltImage {
  readonly digest: string
  readonly manifest: Buffer
  readonly blobs: ReadonlyMap<string, Buffer>
}

/** Builds an image of one layer, a static busybox, that prints `text`; `padding` bytes of noise make it larger to pull. */
export const buildImage = async (text: string, padding = 0): Promise<BuiltImage> => {
  const root = await mkdtemp(join(tmpdir(), 'skrei-layer-'))
  try {
    await mkdir(join(root, 'bin'))
    await mkdir(join(root, 'tmp'))
    await chmod(join(root, 'tmp'), 0o1777)
    await copyFile('/bin/busybox', join(root, 'bin/busybox'))
    await symlink('busybox', join(root, 'bin/echo'))
    if (padding > 0) await promisify(execFile)('dd', ['if=/dev/urandom', `of=${join(root, 'noise')}`, `bs=${padding}`, 'count=1'])
    const { stdout: layer } = await promisify(execFile)('tar', ['-C', root, '-c', '.'], { encoding: 'buffer', maxBuffer: 1 << 28 })
    const packed = gzipSync(layer, { level: 1 })
    const config = Buffer.from(
      JSON.stringify({
        architecture: process.arch === 'arm64' ? 'arm64' : 'amd64',
        os: 'linux',
        config: { Env: ['PATH=/bin'], Cmd: ['/bin/echo', text] },
        rootfs: { type: 'layers', diff_ids: [digestOf(layer)] },
      }),
    )
    const manifest = Buffer.from(
      JSON.stringify({
        schemaVersion: 2,
        mediaType: manifestType,
        config: { mediaType: 'application/vnd.docker.container.image.v1+json', size: config.length, digest: digestOf(config) },
        layers: [{ mediaType: 'application/vnd.docker.image.rootfs.diff.tar.gzip', size: packed.length, digest: digestOf(packed) }],
      }),
    )
    return {
      digest: digestOf(manifest),
      manifest,
      blobs: new Map([
        [digestOf(config), config],
        [digestOf(packed), packed],
      ]),
    }
  } finally {
    await rm(root, { recursive: true })
  }
}

export interface TestRegistry extends AsyncDisposable {
  /** `127.0.0.1:<port>`. */
  readonly host: string
  /** By `<repository>:<tag>`. */
  readonly tags: Map<string, BuiltImage>
  /** `user:password` that it wants to see. */
  credentials: string | undefined
  /** What it does with layers: all of it, the first half and then nothing more, or other bytes of the same length. */
  layers: 'whole' | 'half' | 'wrong'
  /** The paths that were asked for. */
  readonly asked: string[]
}

/** A registry on the loop that gives images by the distribution protocol: https://distribution.github.io/distribution/spec/api/ */
export const testRegistry = async (): Promise<TestRegistry> => {
  const tags = new Map<string, BuiltImage>()
  const asked: string[] = []
  const server = createServer((request, answer) => {
    const path = request.url ?? ''
    asked.push(`${request.method} ${path}`)
    const refuse = (status: number, code: string): void => {
      answer.writeHead(status, { 'content-type': 'application/json', ...(status === 401 && { 'www-authenticate': 'Basic realm="test"' }) })
      answer.end(JSON.stringify({ errors: [{ code, message: code.toLowerCase().replace('_', ' ') }] }))
    }
    if (registry.credentials !== undefined && request.headers.authorization !== `Basic ${Buffer.from(registry.credentials).toString('base64')}`)
      return refuse(401, 'UNAUTHORIZED')
    if (path === '/v2/') return void answer.end('{}')
    const [, repository = '', kind = '', reference = ''] = /^\/v2\/(.+)\/(manifests|blobs)\/([^/]+)$/.exec(path) ?? []
    const images = [...tags].filter(([name]) => name.startsWith(`${repository}:`)).map(([, image]) => image)
    if (kind === 'manifests') {
      const image = tags.get(`${repository}:${reference}`) ?? images.find(({ digest }) => digest === reference)
      if (image === undefined) return refuse(404, 'MANIFEST_UNKNOWN')
      answer.writeHead(200, { 'content-type': manifestType, 'content-length': image.manifest.length, 'docker-content-digest': image.digest })
      return void answer.end(request.method === 'HEAD' ? undefined : image.manifest)
    }
    const blob = images.map(({ blobs }) => blobs.get(reference)).find((one) => one !== undefined)
    if (blob === undefined) return refuse(404, 'BLOB_UNKNOWN')
    answer.writeHead(200, { 'content-type': 'application/octet-stream', 'content-length': blob.length, 'docker-content-digest': reference })
    const isLayer = blob[0] === 0x1f
    if (isLayer && registry.layers === 'half') return void answer.write(blob.subarray(0, blob.length / 2))
    answer.end(isLayer && registry.layers === 'wrong' ? Buffer.alloc(blob.length, 7) : blob)
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  const registry: TestRegistry = {
    host: `127.0.0.1:${(server.address() as AddressInfo).port}`,
    tags,
    asked,
    credentials: undefined,
    layers: 'whole',
    [Symbol.asyncDispose]: async () => {
      server.closeAllConnections()
      await new Promise<void>((resolve) => server.close(() => resolve()))
    },
  }
  return registry
}
