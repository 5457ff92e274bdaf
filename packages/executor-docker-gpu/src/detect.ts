import { detectAmd } from './amd.ts'
import { distinct, type GpuInventory } from './gpu.ts'
import { detectIntel } from './intel.ts'
import { detectNvidia } from './nvidia.ts'
import { sysfs } from './pci.ts'
import { type RunTool, toolRunner } from './tool.ts'

export interface DetectOptions {
  /** Runs the vendors' tools. Default: `toolRunner()`, processes of 20 seconds and 4 MiB at most. */
  readonly runTool?: RunTool
  /** Where the kernel describes devices. Default: `/sys`. */
  readonly sysfs?: string
  readonly signal?: AbortSignal
}

/**
 * The GPUs of this machine, as its vendors' tools describe them, and why others are not among them. Rejects only where `signal` is aborted: a tool that is missing, hangs, fails or writes
 * nonsense is a problem in the answer. A tool that is missing is one only where the kernel knows hardware for it.
 */
export const detectGpus = async ({ runTool = toolRunner(), sysfs: root, signal }: DetectOptions = {}): Promise<GpuInventory> => {
  signal?.throwIfAborted()
  const kernel = sysfs(root)
  const options = { ...(signal && { signal }) }
  const [vendors, ...found] = await Promise.all([
    kernel.vendors(),
    detectNvidia(runTool, options),
    detectAmd(runTool, kernel, options),
    detectIntel(runTool, kernel, options),
  ])
  return {
    gpus: distinct(found.flatMap(({ gpus }) => gpus)),
    problems: found.flatMap(({ problems }) => problems).filter(({ code, vendor }) => code !== 'tool-missing' || vendors.has(vendor)),
  }
}
