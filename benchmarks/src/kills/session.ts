import { readdirSync, readFileSync } from 'node:fs'

/** The living processes of a session, its leader included: https://man7.org/linux/man-pages/man5/proc_pid_stat.5.html. Linux only. */
export const processesOf = (session: number): readonly number[] =>
  readdirSync('/proc').flatMap((name) => {
    if (!/^\d+$/.test(name)) return []
    try {
      const stat = readFileSync(`/proc/${name}/stat`, 'latin1')
      const [state, , , ofSession] = stat.slice(stat.lastIndexOf(')') + 2).split(' ')
      return Number(ofSession) === session && state !== 'Z' ? [Number(name)] : []
    } catch {
      // It ended in between.
      return []
    }
  })
