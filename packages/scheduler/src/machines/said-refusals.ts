import { type Refusal, refusals as refusalTable } from '@skrei/job-spec'

/** As many as a decline takes, each with a detail as long as a refusal takes. */
const most = 64
const longestDetail = 4096

/**
 * Why a node declines, as far as a message takes it: one refusal of each code first, for codes decide, then the others in their order. Engines and an operator's policy give as
 * many as they like, of any length.
 */
export const saidRefusals = (refusals: readonly Refusal[]): readonly Refusal[] => {
  const known = refusals.filter(({ code }) => Object.hasOwn(refusalTable, code))
  if (known.length === 0) return [{ code: 'assess-failed', detail: 'the node gave no reason' }]
  const codes = new Set<string>()
  const first = new Set(known.filter(({ code }) => !codes.has(code) && codes.add(code)))
  return [...first, ...known.filter((refusal) => !first.has(refusal))].slice(0, most).map(({ code, detail, resource, wanted, available }) => ({
    code,
    detail: detail.slice(0, longestDetail),
    ...(resource !== undefined && { resource }),
    ...(Number.isFinite(wanted) && { wanted: Number(wanted) }),
    ...(Number.isFinite(available) && { available: Number(available) }),
  }))
}
