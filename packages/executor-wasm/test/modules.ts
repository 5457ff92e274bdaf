import { fileURLToPath } from 'node:url'
import type { Program } from '@skrei/executor/conformance'

export const modulePath = (name: string): string => fileURLToPath(new URL(`./modules/${name}.wasm`, import.meta.url))

const source = { type: 'inline', text: '' } as const

interface Engine {
  readonly args?: string[]
  readonly stdin?: string | { path: string }
}

/** A module among those of the tests. */
export const wasm = (name: string, engine: Engine = {}): Program => ({
  engine: { type: 'wasm', module: source, ...engine },
  files: { module: modulePath(name) },
})

/** A program of programs.c. */
export const program = (name: string, ...args: string[]): Program => wasm('programs', { args: [name, ...args] })

/** A module at any path. */
export const moduleAt = (path: string): Program => ({ engine: { type: 'wasm', module: source }, files: { module: path } })
