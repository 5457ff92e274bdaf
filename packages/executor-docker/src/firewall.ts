import { execFile } from 'node:child_process'
import { promisify } from 'node:util'

const execute = promisify(execFile)

export interface FirewallRules {
  /** What the interfaces of the guarded bridges begin with. */
  readonly prefix: string
  /** All networks behind these bridges. */
  readonly subnet: string
  /** The one port of the host that can be reached from there, at an address of the subnet. */
  readonly port: number
}

/**
 * Makes sure that nothing behind the guarded bridges reaches the host but the proxy's port, and that nothing from there is forwarded. An internal network of Docker's is
 * cut off from other networks, but not from the host: whatever listens on all addresses would answer at the bridge's. The rules are looked for and put back each time, as other
 * programs rewrite tables; they name the bridges only, and stay. Rejects where they cannot be set: no iptables, or not root.
 */
export const guardBridges = async ({ prefix, subnet, port }: FirewallRules): Promise<void> => {
  const from = ['-i', `${prefix}+`]
  const chain = 'SKREI-BRIDGES'
  await iptables('iptables', ['-N', chain]).catch(() => undefined)
  await first('iptables', chain, ['-p', 'tcp', '-d', subnet, '--dport', String(port), '-j', 'ACCEPT'])
  await last('iptables', chain, ['-j', 'DROP'])
  await first('iptables', 'INPUT', [...from, '-j', chain])
  await first('iptables', 'FORWARD', [...from, '-j', 'DROP'])
  // Where the host has no IPv6 there is nothing to guard.
  await first('ip6tables', 'INPUT', [...from, '-j', 'DROP']).catch(() => undefined)
}

const has = (program: string, chain: string, rule: readonly string[]): Promise<boolean> =>
  iptables(program, ['-C', chain, ...rule]).then(
    () => true,
    () => false,
  )
const first = async (program: string, chain: string, rule: readonly string[]): Promise<void> => {
  if (!(await has(program, chain, rule))) await iptables(program, ['-I', chain, '1', ...rule])
}
const last = async (program: string, chain: string, rule: readonly string[]): Promise<void> => {
  if (!(await has(program, chain, rule))) await iptables(program, ['-A', chain, ...rule])
}

// Others change the tables too: it waits for its turn.
const iptables = async (program: string, args: readonly string[]): Promise<void> => {
  await execute(program, ['-w', '10', ...args], { env: { PATH: '/usr/sbin:/usr/bin:/sbin:/bin' }, timeout: 30_000 })
}
