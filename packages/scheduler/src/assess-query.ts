import { canonicalBytes, cidOf, decodeCanonical, type Refusal } from '@skrei/job-spec'
import { type Assessment, assessmentSchema, assessProtocol, maxMessageBytes, type Wish, wishSchema } from '@skrei/protocol'
import type { Clock, Transport } from '@skrei/transport'
import type { ComputeRole } from './compute/role.ts'
import { forgetOldest } from './forget-oldest.ts'
import { unlessAborted } from './unless-aborted.ts'

// An assessment may open sources and engines: strangers get a bounded share of that.
const running = 4
const runningPerNode = 2
const perMinute = 30
const nodesCounted = 1024
const answersKept = 256
const keptFor = 10_000

/** Answers what this node would say to an ask: nothing is written, nothing reserved. What the same node asks again within seconds is not looked into again. */
export const serveAssessments = (transport: Transport, clock: Clock, compute: ComputeRole, within: number): Disposable => {
  const kept = new Map<string, { readonly at: number; readonly refusals: readonly Refusal[] }>()
  const asked = new Map<string, { since: number; count: number; running: number }>()
  let all = 0

  const take = (from: string): { since: number; count: number; running: number } | undefined => {
    const now = clock.now()
    const before = asked.get(from)
    const of = before ?? { since: now, count: 0, running: 0 }
    if (now - of.since >= 60_000) Object.assign(of, { since: now, count: 0 })
    if (before === undefined) {
      // The oldest goes that asks nothing now; where all do, the newcomer is too many.
      if (asked.size >= nodesCounted) {
        const idle = [...asked].find(([, { running }]) => running === 0)?.[0]
        if (idle === undefined) return undefined
        asked.delete(idle)
      }
      asked.set(from, of)
    }
    if (of.count >= perMinute || of.running >= runningPerNode || all >= running) return undefined
    of.count++
    of.running++
    all++
    return of
  }

  const refusalsTo = async (from: string, wish: Wish, signal: AbortSignal): Promise<readonly Refusal[]> => {
    const key = `${from} ${cidOf(wish)}`
    const known = kept.get(key)
    if (known !== undefined && clock.now() - known.at < keptFor) return known.refusals
    const refusals = await compute.assess({ ...wish, requester: from }, wish.files, { signal })
    kept.delete(key)
    kept.set(key, { at: clock.now(), refusals })
    forgetOldest(kept, answersKept)
    return refusals
  }

  const answer = async (from: string, body: Uint8Array, given: AbortSignal | undefined): Promise<Assessment> => {
    const place = take(from)
    if (place === undefined) return { unknown: 'too-many' }
    const ending = new AbortController()
    using _alarm = clock.at(clock.now() + within, () => ending.abort(new DOMException('not assessed in time', 'TimeoutError')))
    const signal = given === undefined ? ending.signal : AbortSignal.any([given, ending.signal])
    try {
      const wish = wishOf(body)
      if (wish === undefined) return { unknown: 'invalid' }
      const refusals = await unlessAborted(refusalsTo(from, wish, signal), signal)
      return { refusals: refusals.slice(0, 64).map((one) => ({ ...one, detail: one.detail.slice(0, 4096) })), ...compute.standing(wish.task) }
    } catch {
      return { unknown: 'failed' }
    } finally {
      place.running--
      all--
    }
  }

  return transport.serve(assessProtocol, async function* (from, body, { signal }) {
    yield canonicalBytes(await answer(from, body, signal))
  })
}

const wishOf = (body: Uint8Array): Wish | undefined => {
  try {
    return wishSchema.safeParse(decodeCanonical(body, { maxBytes: maxMessageBytes })).data
  } catch {
    return undefined
  }
}

/** A node answers in this many bytes. */
const longestAnswer = 512 * 1024

/** What a node would say to an ask. Rejects where it cannot be reached, or answers what is no answer. */
export const queryAssessment = async (transport: Transport, node: string, wish: Wish, { signal }: { readonly signal: AbortSignal }): Promise<Assessment> => {
  const chunks: Uint8Array[] = []
  let bytes = 0
  const read = async (): Promise<Assessment> => {
    for await (const chunk of transport.query(node, assessProtocol, canonicalBytes(wish), { signal })) {
      bytes += chunk.length
      if (bytes > longestAnswer) throw new Error(`${node} answers with more than ${longestAnswer} bytes`)
      chunks.push(chunk)
    }
    return assessmentSchema.parse(decodeCanonical(Buffer.concat(chunks)))
  }
  return await unlessAborted(read(), signal)
}
