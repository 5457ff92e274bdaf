import { statfs } from 'node:fs/promises'
import { arch, availableParallelism, platform, totalmem } from 'node:os'
import type { Capacity } from '@skrei/job-spec'

/** What a node offers that is told nothing else: every core, four fifths of the memory that this process may use, the free disk of its home. Milli-CPU, bytes, bytes. */
export const machineCapacity = async (home: string): Promise<Capacity> => {
  const disk = await statfs(home)
  const constrained = process.constrainedMemory()
  const memory = constrained > 0 ? Math.min(constrained, totalmem()) : totalmem()
  return { cpu: availableParallelism() * 1000, memory: Math.floor(memory * 0.8), disk: disk.bavail * disk.bsize }
}

export const machineLabels = (): Readonly<Record<string, string>> => ({ os: platform(), arch: arch() })
