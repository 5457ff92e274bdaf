import { registerHooks } from 'node:module'
import { mutants, mutate } from './mutants.ts'

const edits = mutants.find(({ name }) => name === process.env['SKREI_MUTANT'])?.edits ?? []

/** Imported before anything else: what is loaded afterwards is the mutant that the environment names. */
registerHooks({
  load: (url, context, next) => {
    const loaded = next(url, context)
    const here = edits.filter(({ file }) => url === new URL(`../src/${file}`, import.meta.url).href)
    if (here.length === 0) return loaded
    const source = typeof loaded.source === 'string' ? loaded.source : new TextDecoder().decode(loaded.source ?? undefined)
    return { ...loaded, source: here.reduce((text, { find, replace }) => mutate(text, find, replace), source) }
  },
})
