import type { StateStore, Row, Transaction } from '@skrei/state-store'
export const tmpStore = (): StateStore => {
  const rows = new Map<string, Row>(), dl = new Map<string, {kind:string,id:string,at:number}>(), ob = new Map<number, any>()
  const hist: any[] = []; let seq = 0, oid = 0
  let undo: (() => void)[] = []
  const set = (m: Map<any, any>, k: any, v: any) => { const had = m.has(k), old = m.get(k); undo.push(() => had ? m.set(k, old) : m.delete(k)); v === undefined ? m.delete(k) : m.set(k, v) }
  const clone = (x: any) => JSON.parse(JSON.stringify(x))
  const tx: Transaction = {
    get: (k, i) => rows.get(k + '\0' + i),
    list: (k, w) => [...rows.values()].filter(r => r.kind === k && (w.parent === undefined || r.parent === w.parent) && (w.state === undefined || r.state === w.state) && (w.open === undefined || r.open === w.open) && (w.after === undefined || r.id > w.after)).sort((a, b) => a.id < b.id ? -1 : 1).slice(0, w.limit),
    history: (k, i, a, l) => hist.filter(h => h.kind === k && h.id === i && h.sequence > a).slice(0, l),
    due: (n, l) => [...dl.values()].filter(d => d.at <= n).sort((a, b) => a.at - b.at).slice(0, l),
    nextDeadline: () => { let m: number | undefined; for (const d of dl.values()) if (m === undefined || d.at < m) m = d.at; return m },
    pending: (a, l) => [...ob.values()].filter(e => e.outboxId > a).sort((x, y) => x.outboxId - y.outboxId).slice(0, l),
    nested: (w) => { const m = undo.length; try { return w() } catch (e) { while (undo.length > m) undo.pop()!(); throw e } },
    put: (r) => set(rows, r.kind + '\0' + r.id, { ...r, data: clone(r.data) }),
    remove: (k, i) => set(rows, k + '\0' + i, undefined),
    record: (e) => { clone(e); hist.push({ ...e, sequence: ++seq }); undo.push(() => hist.pop()); return seq },
    deadline: (k, i, at) => set(dl, k + '\0' + i, at === undefined ? undefined : { kind: k, id: i, at }),
    enqueue: (e) => { clone(e.data); set(ob, ++oid, { ...e, outboxId: oid }); return oid },
    done: (i) => set(ob, i, undefined),
    cancel: (k, i) => { for (const e of ob.values()) if (e.kind === k && e.id === i) set(ob, e.outboxId, undefined) },
  }
  return { transact: (w) => { undo = []; return tx.nested(() => w(tx)) }, read: (w) => w(tx), [Symbol.dispose]: () => {} }
}
