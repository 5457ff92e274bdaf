import type { Transaction } from '@skrei/state-store'
import { forgetRefusals } from './record.ts'

/** An object with all that is its own. Messages about it that nobody could be sent are in vain by now. */
export const forgetObject = (transaction: Transaction, kind: string, id: string): void => {
  transaction.remove(kind, id)
  transaction.cancel(kind, id)
  forgetRefusals(transaction, kind, id)
}
