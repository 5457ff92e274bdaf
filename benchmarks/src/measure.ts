export interface Cost {
  readonly wallMs: number
  /** User and system time of this process, its threads included, its children not. */
  readonly cpuMs: number
}

/** What a piece of work costs this process. */
export const measure = async <T>(work: () => Promise<T>): Promise<Cost & { readonly value: T }> => {
  const cpu = process.cpuUsage()
  const wall = performance.now()
  const value = await work()
  const { user, system } = process.cpuUsage(cpu)
  return { value, wallMs: performance.now() - wall, cpuMs: (user + system) / 1000 }
}

/** The most memory that this process ever held, in MiB. */
export const peakRssMiB = (): number => process.resourceUsage().maxRSS / 1024
