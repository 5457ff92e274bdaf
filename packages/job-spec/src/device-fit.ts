import { parseGlob } from './glob.ts'
import type { Device, Task } from './task.ts'

/** A name is no path: its `/` (`Radeon RX 6800/6800 XT`) is a character as any other. */
const asName = (text: string): string => text.replaceAll('/', '\u2215')

/** Whether a device is as a task asks for. What is not known of it satisfies nobody, nor does a pattern that is none. */
export const deviceFits = ({ vendor, model, memory }: Task['resources']['gpu']): ((device: Device) => boolean) => {
  const named = model === undefined ? undefined : parseGlob(asName(model))
  return (device) =>
    (vendor === undefined || device.vendor === vendor) &&
    (named === undefined || (named.ok && device.model !== undefined && named.match(asName(device.model)))) &&
    (memory === undefined || (device.memory !== undefined && device.memory >= memory))
}
