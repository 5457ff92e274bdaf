export type * from './options.ts'
export type { KernelEvent, ObjectEvent, Transition } from './kernel/event.ts'
export { defaultSettings, type Settings } from './settings.ts'
