import { styleText } from 'node:util'
import type { Logger } from '@skrei/scheduler'
import pino from 'pino'
import type { NodeConfig } from '../config/config-schema.ts'
import { oneLine } from '../printable.ts'

/** What waits for a reader of standard error that does not read: more is dropped, and the number told once it reads on. */
const mostWaiting = 1024 * 1024

type Colour = Parameters<typeof styleText>[0]
const colours: Readonly<Record<string, Colour>> = { debug: 'dim', info: 'green', warn: 'yellow', error: 'red' }

/** The node's log on standard error: a line for people, or one JSON object a line. */
export const nodeLog = ({ level, format }: NodeConfig['log'], stream: NodeJS.WriteStream): Logger => {
  let dropped = 0
  const put = (line: string): void => {
    if (stream.writableLength > mostWaiting) {
      dropped += 1
      return
    }
    if (dropped > 0) {
      const lost = dropped
      dropped = 0
      log.warn({ lines: lost }, 'lines of this log were dropped: nobody read it fast enough')
    }
    stream.write(line)
  }
  const log = pino(
    {
      level,
      base: null,
      timestamp: pino.stdTimeFunctions.isoTime,
      formatters: { level: (label) => ({ level: label }) },
      serializers: { error: (value: unknown) => (value instanceof Error ? (value.stack ?? value.message) : value) },
    },
    { write: format === 'json' ? put : (line: string) => put(textOf(line, stream)) },
  )
  const write =
    (method: 'debug' | 'info' | 'warn' | 'error') =>
    (message: string, fields: Readonly<Record<string, unknown>> = {}): void =>
      log[method](fields, message)
  return { debug: write('debug'), info: write('info'), warn: write('warn'), error: write('error') }
}

/** `11:27:48.123 warn  a peer is gone  peer=12D3… code=unreachable` */
const textOf = (line: string, stream: NodeJS.WriteStream): string => {
  const { level, time, msg, ...fields } = JSON.parse(line) as { readonly level: string; readonly time: string; readonly msg?: string }
  const style = (format: Colour, text: string): string => styleText(format, text, { stream })
  const rest = Object.entries(fields).map(([name, value]) => `${style('dim', `${name}=`)}${oneLine(typeof value === 'string' ? value : JSON.stringify(value))}`)
  return `${style('dim', time.slice(11, 23))} ${style(colours[level] ?? 'dim', level.padEnd(5))} ${[oneLine(msg ?? ''), ...rest].join('  ')}\n`
}
