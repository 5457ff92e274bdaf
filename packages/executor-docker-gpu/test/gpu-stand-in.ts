import { readFile } from 'node:fs/promises'
import type { StreamTool } from '../src/counters.ts'
import { runtimeHookInstalled } from '../src/tool.ts'
import { tools } from './machine.ts'

/** Four devices that are not there. */
export const fourIds = ['c01', 'c02', 'c03', 'c04'].map((end) => `GPU-5a1fe2b0-6c0e-4d0b-9d0f-3f0d7a8a0${end}`)
export const fourGpus = () =>
  tools({ 'nvidia-smi': fourIds.map((id, index) => `${id}, 00000000:0${index + 1}:00.0, 550.90.07, 81920, 0, Disabled, NVIDIA A100-SXM4-80GB\n`).join('') })

/** Says once how each of the four is. */
export const fourCounters: StreamTool = (_command, _args, line) => {
  for (const [index, id] of fourIds.entries()) line(`${id}, ${index + 1}, 1024, 301.25, 64`)
  return { [Symbol.dispose]: () => undefined }
}

/** Why the engine here cannot be asked for devices that are not there. The stand-in for NVIDIA's runtime hook must be on its PATH when it starts. */
export const standInMissing = runtimeHookInstalled() ? undefined : 'no stand-in for a GPU runtime; stop the engine, and run: sudo bash scripts/ci-machine'

/** Which devices the engine was asked for when it started these containers, as the stand-in wrote them down: `NVIDIA_VISIBLE_DEVICES`. */
export const devicesAskedFor = async (containers: readonly string[]): Promise<readonly string[]> => {
  const lines = (await readFile('/run/skrei-gpu-hook/asked.jsonl', 'utf8').catch(() => '')).split('\n').filter((line) => line !== '')
  const asked = new Map(lines.map((line) => JSON.parse(line) as { readonly id: string; readonly devices: string }).map(({ id, devices }) => [id, devices]))
  return containers.flatMap((container) => asked.get(container) ?? [])
}
