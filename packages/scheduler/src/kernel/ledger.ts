import type { Data, Reader, Row, Transaction } from '@skrei/state-store'
import type { Holding } from './machine.ts'

/** What all open objects of this node hold together. `devices` says which object has which device. */
export interface Ledger {
  readonly cpu: number
  readonly memory: number
  readonly disk: number
  readonly devices: Readonly<Record<string, string>>
}

const empty: Ledger = { cpu: 0, memory: 0, disk: 0, devices: {} }

/** One row, changed in the transaction that changes an object's state: the sum is never out of step with its parts. */
export const readLedger = (reader: Reader): Ledger => (reader.get('ledger', 'node')?.data as unknown as Ledger | undefined) ?? empty

/** Moves the ledger from what an object held to what it holds. Returns whether something became free. */
export const moveLedger = (transaction: Transaction, owner: string, before: Holding | undefined, after: Holding | undefined): boolean => {
  if (sameHolding(before, after)) return false
  const row = transaction.get('ledger', 'node')
  const ledger = (row?.data as unknown as Ledger | undefined) ?? empty
  const devices = { ...ledger.devices }
  for (const id of before?.devices ?? []) if (devices[id] === owner) delete devices[id]
  for (const id of after?.devices ?? []) {
    if (devices[id] !== undefined && devices[id] !== owner) throw new Error(`device ${id} is held by ${devices[id]} already`)
    devices[id] = owner
  }
  const difference = (resource: 'cpu' | 'memory' | 'disk'): number => (after?.[resource] ?? 0) - (before?.[resource] ?? 0)
  const next: Ledger = { cpu: ledger.cpu + difference('cpu'), memory: ledger.memory + difference('memory'), disk: ledger.disk + difference('disk'), devices }
  transaction.put({ kind: 'ledger', id: 'node', state: 'node', open: true, version: (row?.version ?? 0) + 1, data: next as unknown as Data } satisfies Row)
  return difference('cpu') < 0 || difference('memory') < 0 || difference('disk') < 0 || (before?.devices.length ?? 0) > (after?.devices.length ?? 0)
}

const sameHolding = (one: Holding | undefined, other: Holding | undefined): boolean =>
  one === other ||
  (one !== undefined &&
    other !== undefined &&
    one.cpu === other.cpu &&
    one.memory === other.memory &&
    one.disk === other.disk &&
    one.devices.join() === other.devices.join())
