import { isIP } from 'node:net'
import { isAbsolute } from 'node:path'
import { bytesSchema, cpuSchema, durationSchema, labelsSchema, parseGlob } from '@skrei/job-spec'
import { type Settings, settingKinds, settingsThatMayBeZero } from '@skrei/scheduler'
import * as z from 'zod'
import { type EngineName, engineNames } from '../engine-names.ts'

const listed = 1024

const bad = (text: string) => ({ error: `expected ${text}` })

const networkSchema = z
  .string(bad('a name'))
  .regex(/^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$/, bad('a name of up to 64 letters, digits, dots, dashes and underscores'))

const isPort = (text: string | undefined): boolean => text !== undefined && /^\d{1,5}$/.test(text) && Number(text) < 65_536
const isHost = (kind: string | undefined, host: string | undefined): boolean =>
  (kind === 'ip4' && isIP(host ?? '') === 4) ||
  (kind === 'ip6' && isIP(host ?? '') === 6) ||
  (/^dns[46]?$/.test(kind ?? '') && /^[A-Za-z0-9]([A-Za-z0-9.-]{0,251}[A-Za-z0-9])?$/.test(host ?? ''))

/** What the node's transport can listen on and dial: TCP, and WebSockets over it. */
const isAddress = (text: string, ends: (rest: readonly string[]) => boolean, dials: boolean): boolean => {
  const [empty, kind, host, tcp, port, ...rest] = text.split('/')
  if (empty !== '' || tcp !== 'tcp' || !isPort(port) || !isHost(kind, host) || (!dials && kind?.startsWith('dns'))) return false
  return ends(rest[0] === 'ws' || (dials && rest[0] === 'wss') ? rest.slice(1) : rest)
}

const address = (example: string, dials: boolean, ends: (rest: readonly string[]) => boolean) =>
  z
    .string(bad(`an address such as ${example}`))
    .max(512)
    .refine((text) => isAddress(text, ends, dials), bad(`an address such as ${example}`))

const listenAddress = address('/ip4/127.0.0.1/tcp/4001 or /ip6/::1/tcp/4002/ws', false, (rest) => rest.length === 0)
const announceAddress = address('/dns4/node.example.org/tcp/4001', true, (rest) => rest.length === 0)
const isPeerEnd = (rest: readonly string[]): boolean => rest.length === 2 && rest[0] === 'p2p' && /^12D3KooW[1-9A-HJ-NP-Za-km-z]{44}$/.test(rest[1] ?? '')
const peerAddress = address('/ip4/192.0.2.1/tcp/4001/p2p/12D3KooW…, with the id of the node at its end', true, isPeerEnd)

const isImagePattern = (text: string): boolean => /[A-Za-z0-9*]/.test(text) && parseGlob(text).ok
const imagePattern = z
  .string(bad('a pattern of image names'))
  .max(512)
  .refine(isImagePattern, bad('a pattern of whole image names, such as docker.io/library/*'))
const domain = z
  .string(bad('a domain'))
  .max(253)
  .regex(
    /^(\*|(\*\.)?[A-Za-z0-9]([A-Za-z0-9-]*[A-Za-z0-9])?(\.[A-Za-z0-9]([A-Za-z0-9-]*[A-Za-z0-9])?)*)$/,
    bad('a domain such as example.org or *.example.org, or * for every one'),
  )

const directory = z.string(bad('a directory')).min(1).max(4096).refine(isAbsolute, bad('the absolute path of a directory'))

// As a Host header says it, without a port.
const hostName = z
  .string(bad('a host name'))
  .max(253)
  .regex(/^[A-Za-z0-9]([A-Za-z0-9.-]*[A-Za-z0-9])?$/, bad('a host name such as node.example.org'))
const isOrigin = (text: string): boolean => URL.canParse(text) && /^https?:/.test(text) && new URL(text).origin === text
const origin = z.string(bad('an origin')).max(512).refine(isOrigin, bad('an origin such as https://dashboard.example.org'))

const zeroOr = (schema: typeof durationSchema) => z.union([z.literal(0), schema], bad('0 or a duration, such as 500ms or 1h30m'))

const settingSchema = (name: keyof Settings): z.ZodType<number> => {
  const zero = settingsThatMayBeZero.has(name)
  switch (settingKinds[name]) {
    case 'time':
      return zero ? zeroOr(durationSchema) : durationSchema
    case 'share below one':
      return z.number(bad('a share from 0 to below 1')).min(0).lt(1)
    case 'share above none':
      return z.number(bad('a share above 0, 1 at most')).gt(0).max(1)
    case 'count':
      return z.int(bad('a whole number')).min(zero ? 0 : 1)
    case 'rate':
      return zero ? z.number(bad('a number')).min(0) : z.number(bad('a number')).gt(0)
  }
}

const settingsShape = Object.fromEntries((Object.keys(settingKinds) as (keyof Settings)[]).map((name) => [name, settingSchema(name).optional()]))

/** What a configuration file may hold. Everything in it is optional: the defaults stand in {@link resolveConfig}. Environment and flags say the same things. */
export const configSchema = z
  .strictObject({
    network: networkSchema,
    roles: z.array(z.enum(['requester', 'compute'])).min(1),
    listen: z.array(listenAddress).max(listed),
    announce: z.array(announceAddress).max(listed),
    peers: z.array(peerAddress).max(listed),
    api: z
      .strictObject({
        host: z.string(bad('a host name or an address')).min(1).max(255),
        port: z.int(bad('a port, or 0 for any that is free')).min(0).max(65_535),
        insecure: z.boolean(),
        hosts: z.array(hostName).max(listed),
        origins: z.array(origin).max(listed),
        blobBytes: bytesSchema.refine((bytes) => bytes > 0, bad('more than nothing')),
        totalBlobBytes: bytesSchema,
      })
      .partial(),
    ipfs: z.boolean(),
    capacity: z.strictObject({ cpu: cpuSchema, memory: bytesSchema, disk: bytesSchema }).partial(),
    labels: labelsSchema,
    allow: z.strictObject({ localPaths: z.array(directory).max(listed), privateAddresses: z.boolean() }).partial(),
    engines: z.array(z.enum(engineNames)),
    docker: z
      .strictObject({
        images: z.array(imagePattern).max(listed),
        pull: z.boolean(),
        credentialsFile: z.string(bad('a file')).min(1).max(4096).refine(isAbsolute, bad('the absolute path of a file')),
        domains: z.array(domain).max(listed),
        fullNetwork: z.boolean(),
        allowRoot: z.boolean(),
      })
      .partial(),
    publishers: z.strictObject({ local: directory }).partial(),
    log: z.strictObject({ level: z.enum(['debug', 'info', 'warn', 'error']), format: z.enum(['text', 'json']) }).partial(),
    drain: durationSchema,
    settings: z.strictObject(settingsShape) as z.ZodType<Partial<Settings>>,
  })
  .partial()

export type ConfigFile = z.output<typeof configSchema>

/** How one node is set up. Times in milliseconds, sizes in bytes, CPU in thousandths. */
export interface NodeConfig {
  /** Nodes of different networks do not understand each other. */
  readonly network: string
  readonly requester: boolean
  readonly compute: boolean
  /** Multiaddrs. */
  readonly listen: readonly string[]
  readonly announce: readonly string[]
  readonly peers: readonly string[]
  readonly api: {
    readonly host: string
    readonly port: number
    readonly insecure: boolean
    /** Names by which clients may ask it, besides `localhost`, `host` and addresses in digits. */
    readonly hosts: readonly string[]
    /** Web pages that may use it, besides its own. */
    readonly origins: readonly string[]
    /** The largest upload. */
    readonly blobBytes: number
    /** What all uploads may take together. */
    readonly totalBlobBytes: number
  }
  readonly ipfs: boolean
  /** What is absent is taken from the machine. */
  readonly capacity: { readonly cpu?: number | undefined; readonly memory?: number | undefined; readonly disk?: number | undefined }
  readonly labels: Readonly<Record<string, string>>
  readonly allow: { readonly localPaths: readonly string[]; readonly privateAddresses: boolean }
  /** What is absent is what the machine has. */
  readonly engines?: readonly EngineName[] | undefined
  /** What containers may be and have. */
  readonly docker: {
    /** Patterns of image names; absent: all. */
    readonly images?: readonly string[] | undefined
    readonly pull: boolean
    /** In the format of the Docker client. */
    readonly credentialsFile?: string | undefined
    /** What jobs may reach over HTTP of what they name; `*`: all of it. */
    readonly domains: readonly string[]
    readonly fullNetwork: boolean
    readonly allowRoot: boolean
  }
  readonly publishers: { readonly local?: string | undefined }
  readonly log: { readonly level: 'debug' | 'info' | 'warn' | 'error'; readonly format: 'text' | 'json' }
  /** How long running executions may go on after the first signal to stop. */
  readonly drain: number
  readonly settings: Partial<Settings>
}

/** The configuration of a node that is told nothing else, with what it is told. */
export const resolveConfig = (given: ConfigFile): NodeConfig => {
  const roles = given.roles ?? ['requester', 'compute']
  return Object.freeze({
    network: given.network ?? 'default',
    requester: roles.includes('requester'),
    compute: roles.includes('compute'),
    listen: given.listen ?? ['/ip4/127.0.0.1/tcp/0'],
    announce: given.announce ?? [],
    peers: given.peers ?? [],
    api: {
      host: given.api?.host ?? '127.0.0.1',
      port: given.api?.port ?? 1212,
      insecure: given.api?.insecure ?? false,
      hosts: given.api?.hosts ?? [],
      origins: given.api?.origins ?? [],
      blobBytes: given.api?.blobBytes ?? 1024 ** 3,
      totalBlobBytes: given.api?.totalBlobBytes ?? 64 * 1024 ** 3,
    },
    ipfs: given.ipfs ?? true,
    capacity: given.capacity ?? {},
    labels: given.labels ?? {},
    allow: { localPaths: given.allow?.localPaths ?? [], privateAddresses: given.allow?.privateAddresses ?? false },
    engines: given.engines,
    docker: {
      images: given.docker?.images,
      pull: given.docker?.pull ?? true,
      credentialsFile: given.docker?.credentialsFile,
      domains: given.docker?.domains ?? [],
      fullNetwork: given.docker?.fullNetwork ?? false,
      allowRoot: given.docker?.allowRoot ?? false,
    },
    publishers: given.publishers ?? {},
    log: { level: given.log?.level ?? 'info', format: given.log?.format ?? 'text' },
    drain: given.drain ?? 30_000,
    settings: given.settings ?? {},
  })
}
