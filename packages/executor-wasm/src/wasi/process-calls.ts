import { EndingError } from './ending.ts'
import { errno, isErrno } from './errno.ts'
import type { Call, Guest } from './guest.ts'

const encoder = new TextEncoder()

const terminated = (texts: readonly string[]): readonly Uint8Array[] => texts.map((text) => encoder.encode(`${text}\0`))

const argumentsOf = ({ setup }: Guest) => terminated(setup.args)
/** Sorted, so that it does not depend on who built the object. */
const environmentOf = ({ setup }: Guest) =>
  terminated(
    Object.keys(setup.env)
      .sort()
      .map((name) => `${name}=${setup.env[name] ?? ''}`),
  )

const putSizes = ({ memory }: Guest, list: readonly Uint8Array[], count: number, size: number): void => {
  memory.setU32(count, list.length)
  memory.setU32(
    size,
    list.reduce((sum, text) => sum + text.length, 0),
  )
}
const putAll = ({ memory }: Guest, list: readonly Uint8Array[], pointers: number, buffer: number): void => {
  let at = buffer
  for (const [index, text] of list.entries()) {
    memory.setU32(pointers + 4 * index, at)
    memory.bytes(at, text.length).set(text)
    at += text.length
  }
}

const clockOf = (id: number): 'realtime' | 'monotonic' => {
  if (id > 3) throw errno('inval')
  return id === 0 ? 'realtime' : 'monotonic'
}

const subscriptionBytes = 48
const eventBytes = 32
const subscriptionLimit = 4096
const tagClock = 0
const tagRead = 1
const flagAbsolute = 1
const flagHangup = 1

interface Event {
  readonly userdata: bigint
  readonly error: number
  readonly tag: number
  readonly bytes: bigint
  readonly flags: number
}

/** What a read or a write would find, at once: nothing here ever blocks. */
const readiness = (guest: Guest, userdata: bigint, tag: number, fd: number): Event => {
  try {
    const found = guest.descriptors.get(fd)
    if (tag !== tagRead) return { userdata, error: 0, tag, bytes: 65_536n, flags: 0 }
    const left =
      found.kind === 'stdin' ? found.bytes.length - found.position : found.kind === 'file' ? Math.max(0, guest.tree.sizeOf(found.node) - found.position) : 0
    return { userdata, error: 0, tag, bytes: BigInt(left), flags: left === 0 ? flagHangup : 0 }
  } catch (error) {
    if (!isErrno(error)) throw error
    return { userdata, error: error.errno, tag, bytes: 0n, flags: 0 }
  }
}

const poll: Call[1] = (guest, p) => {
  const { memory, clock } = guest
  const [input, output, count, counted] = [p.i(0), p.i(1), p.i(2), p.i(3)]
  if (count === 0 || count > subscriptionLimit) throw errno('inval')
  const ready: Event[] = []
  const sleeps: { readonly userdata: bigint; readonly until: bigint }[] = []
  const now = clock.now('monotonic')
  for (let index = 0; index < count; index++) {
    const at = input + subscriptionBytes * index
    const userdata = memory.u64(at)
    const tag = memory.u8(at + 8)
    if (tag !== tagClock) {
      if (tag > 2) throw errno('inval')
      ready.push(readiness(guest, userdata, tag, memory.u32(at + 16)))
      continue
    }
    const timeout = memory.u64(at + 24)
    const absolute = (memory.u16(at + 40) & flagAbsolute) !== 0
    const kind = clockOf(memory.u32(at + 16))
    sleeps.push({ userdata, until: absolute ? timeout - (kind === 'realtime' ? clock.epoch : 0n) : now + timeout })
  }
  const soonest = sleeps.reduce<bigint | undefined>((least, { until }) => (least === undefined || until < least ? until : least), undefined)
  // Only where nothing else is ready does it sleep, until the first of them.
  const reached = ready.length === 0 && soonest !== undefined && soonest > now ? soonest : now
  clock.sleepUntil(reached)
  const due = sleeps.filter(({ until }) => until <= reached)
  const events = [...ready, ...due.map(({ userdata }): Event => ({ userdata, error: 0, tag: tagClock, bytes: 0n, flags: 0 }))]
  for (const [index, event] of events.entries()) {
    const at = output + eventBytes * index
    memory.bytes(at, eventBytes).fill(0)
    memory.setU64(at, event.userdata)
    memory.setU16(at + 8, event.error)
    memory.setU8(at + 10, event.tag)
    memory.setU64(at + 16, event.bytes)
    memory.setU16(at + 24, event.flags)
  }
  memory.setU32(counted, events.length)
}

const noSocket: Call[1] = ({ descriptors }, p) => {
  descriptors.get(p.i(0))
  throw errno('notsock')
}

export const processCalls: Readonly<Record<string, Call>> = {
  args_sizes_get: ['ii', (guest, p) => putSizes(guest, argumentsOf(guest), p.i(0), p.i(1))],
  args_get: ['ii', (guest, p) => putAll(guest, argumentsOf(guest), p.i(0), p.i(1))],
  environ_sizes_get: ['ii', (guest, p) => putSizes(guest, environmentOf(guest), p.i(0), p.i(1))],
  environ_get: ['ii', (guest, p) => putAll(guest, environmentOf(guest), p.i(0), p.i(1))],
  clock_res_get: [
    'ii',
    ({ memory, clock }, p) => {
      clockOf(p.i(0))
      memory.setU64(p.i(1), clock.resolution)
    },
  ],
  clock_time_get: ['iIi', ({ memory, clock }, p) => memory.setU64(p.i(2), clock.now(clockOf(p.i(0))))],
  random_get: ['ii', ({ memory, random }, p) => random(memory.bytes(p.i(0), p.i(1)))],
  poll_oneoff: ['iiii', poll],
  sched_yield: ['', () => undefined],
  proc_exit: [
    'i',
    (_, p) => {
      throw new EndingError({ type: 'exit', code: p.i(0) | 0 })
    },
  ],
  proc_raise: [
    'i',
    () => {
      throw errno('nosys')
    },
  ],
  sock_accept: ['iii', noSocket],
  sock_recv: ['iiiiii', noSocket],
  sock_send: ['iiiii', noSocket],
  sock_shutdown: ['ii', noSocket],
}
