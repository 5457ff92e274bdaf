import { mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { onTestFinished } from 'vitest'
import type { RunTool, ToolOutput } from '../src/index.ts'

export const fixture = (name: string): Promise<string> => readFile(new URL(`fixtures/${name}`, import.meta.url), 'utf8')

/** A tool's answer by the command line that asks for it; what has no answer is not installed. */
export const tools = (answers: Readonly<Record<string, ToolOutput | string>>): RunTool & { readonly asked: string[] } => {
  const asked: string[] = []
  const run: RunTool = async (command, args) => {
    const line = [command, ...args].join(' ')
    asked.push(line)
    const [, answer] = Object.entries(answers).find(([start]) => line === start || line.startsWith(`${start} `)) ?? []
    if (answer === undefined) return { status: 'missing' }
    return typeof answer === 'string' ? { status: 'ok', stdout: answer } : answer
  }
  return Object.assign(run, { asked })
}

export const temporaryFolder = async (): Promise<string> => {
  const folder = await mkdtemp(join(tmpdir(), 'skrei-gpu-'))
  onTestFinished(() => rm(folder, { recursive: true, force: true }))
  return folder
}

/** A `/sys` of made-up devices: files by PCI address. */
export const sysfsOf = async (devices: Readonly<Record<string, Readonly<Record<string, string>>>>): Promise<string> => {
  const root = await temporaryFolder()
  for (const [address, files] of Object.entries(devices)) {
    for (const [name, text] of Object.entries(files)) {
      const file = join(root, 'bus/pci/devices', address, name)
      await mkdir(dirname(file), { recursive: true })
      await writeFile(file, text)
    }
  }
  return root
}
