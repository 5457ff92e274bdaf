// What every driver needs, whatever carries its bytes.
export { abortListeners } from './abort-listeners.ts'
export { type Subscription, subscription } from './subscription.ts'
