import type { Clock, Transport } from '@skrei/transport'
export const sysClock = (): Clock => ({ now: () => Date.now(), at: (t, run) => { const h = setTimeout(run, Math.min(2 ** 31 - 1, Math.max(0, t - Date.now()))); return { [Symbol.dispose]: () => clearTimeout(h) } } })
export const tmpNet = () => {
  const nodes = new Map<string, any>()
  const join = (self: string): Transport => {
    const me: any = { receive: undefined, hint: undefined, serve: new Map(), subs: new Set() }; nodes.set(self, me)
    return {
      self, start: async () => {}, [Symbol.asyncDispose]: async () => {},
      send: async (to, m) => { await null; const n = nodes.get(to); if (!n?.receive) throw new Error('unreachable'); await n.receive(self, m) },
      receive: (h) => { me.receive = h; return { [Symbol.dispose]: () => { me.receive = undefined } } },
      hint: (to, b) => { queueMicrotask(() => nodes.get(to)?.hint?.(self, b)) },
      onHint: (h) => { me.hint = h; return { [Symbol.dispose]: () => { me.hint = undefined } } },
      query: async function* (to, p, b, o) { yield* nodes.get(to).serve.get(p)(self, b, o) },
      serve: (p, h) => { me.serve.set(p, h); return { [Symbol.dispose]: () => me.serve.delete(p) } },
      publish: async (t, b) => { for (const n of nodes.values()) for (const s of n.subs) s(b) },
      subscribe: async function* (t, { signal }) { const q: any[] = []; let wake = () => {}; const s = (b: any) => { q.push(b); wake() }; me.subs.add(s); signal?.addEventListener('abort', () => wake()); while (!signal?.aborted) { if (q.length) yield q.shift(); else await new Promise<void>(r => wake = r) } me.subs.delete(s) },
      peers: () => [],
    }
  }
  return { join }
}
