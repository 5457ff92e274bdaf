import { capacitySchema, deviceSchema } from '@skrei/job-spec'
import * as z from 'zod'
import { list } from './list.ts'

const count = z.int().nonnegative()
const incarnationSchema = z.object({ counter: z.int().positive(), id: z.string() })
const engineSchema = z.object({ name: z.string(), version: z.string() })
const labelsSchema = z.record(z.string(), z.string())

export const healthSchema = z
  .object({
    status: z.enum(['ready', 'draining']).meta({ description: '`draining`: it finishes what runs, takes nothing new, and then ends.' }),
    nodeId: z.string(),
    version: z.string(),
  })
  .meta({ id: 'Health' })
export type Health = z.output<typeof healthSchema>

/** What the node holds and how much of it is in use. */
export const standingSchema = z
  .object({
    jobs: z.object({ open: count }).meta({ description: 'Of this node as a requester.' }),
    incarnation: incarnationSchema.exactOptional(),
    capacity: capacitySchema
      .meta({ description: 'What executions may hold together: milli-CPU, bytes, bytes. Absent on a node that runs nothing.' })
      .exactOptional(),
    free: capacitySchema.exactOptional(),
    devices: list(deviceSchema.extend({ execution: z.string().meta({ description: 'The execution that holds it.' }).exactOptional() })).exactOptional(),
    queued: count.meta({ description: 'Asks that wait for room.' }).exactOptional(),
    executions: count.meta({ description: 'Executions that run here.' }).exactOptional(),
    kept: count.meta({ description: 'Executions that are done, and kept until their requester settles them.' }).exactOptional(),
    unsent: count.meta({ description: 'Messages to other nodes that have not been acknowledged yet.' }).exactOptional(),
  })
  .meta({ id: 'Standing' })
export type Standing = z.output<typeof standingSchema>

/** The node that answers. */
export const nodeViewSchema = z
  .object({
    nodeId: z.string(),
    network: z.string(),
    version: z.string(),
    startedAt: z.number().meta({ description: "Milliseconds since the Unix epoch, by the node's clock." }),
    roles: list(z.enum(['requester', 'compute'])),
    addresses: list(z.string()).meta({ description: 'Where other nodes reach it.' }),
    engines: list(engineSchema),
    sources: list(z.string()),
    publishers: list(z.string()),
    labels: labelsSchema,
    standing: standingSchema,
  })
  .meta({ id: 'Node', description: 'The node that answers.' })
export type NodeView = z.output<typeof nodeViewSchema>

/** What a node said of itself, as far as this one heard. */
export const nodeSummarySchema = z
  .object({
    node: z.string(),
    network: z.string(),
    incarnation: incarnationSchema,
    counter: count,
    issuedAt: z.number().meta({ description: "Milliseconds since the Unix epoch, by that node's clock." }),
    ttl: z.number().meta({ description: 'Milliseconds.' }),
    engines: list(engineSchema),
    sources: list(z.string()),
    publishers: list(z.string()),
    capacity: capacitySchema.meta({ description: 'Milli-CPU, bytes, bytes.' }),
    free: capacitySchema,
    devices: list(deviceSchema),
    labels: labelsSchema,
  })
  .meta({ id: 'NodeSummary', description: 'What a node said of itself, as far as this one heard: a hint, and maybe an old one.' })
export type NodeSummary = z.output<typeof nodeSummarySchema>

export const nodeListSchema = z.object({ nodes: list(nodeSummarySchema).meta({ description: 'This node included.' }) }).meta({ id: 'NodeList' })

/** A peer that this node is connected to, or is to be. */
export const peerSummarySchema = z
  .object({
    node: z.string(),
    connected: z.boolean(),
    addresses: list(z.string()).meta({ description: 'Where it is reached, or was looked for.' }),
    direction: z.enum(['inbound', 'outbound']).exactOptional(),
    roundTripMs: z.number().nonnegative().exactOptional(),
    connectedAt: z.number().meta({ description: "Milliseconds since the Unix epoch, by this node's clock." }).exactOptional(),
  })
  .meta({ id: 'Peer' })
export type PeerSummary = z.output<typeof peerSummarySchema>

export const peerListSchema = z.object({ peers: list(peerSummarySchema) }).meta({ id: 'PeerList' })
