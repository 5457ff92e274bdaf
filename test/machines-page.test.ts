import { describe, expect, test } from 'vitest'
import { diagram, type Machine, machines, machinesPage, metaOf } from '../scripts/machines-page.ts'

/** Reads a diagram back, as mermaid's grammar has it: states by alias, arrows with their labels. */
const parse = (text: string): { readonly states: ReadonlySet<string>; readonly arrows: ReadonlySet<string>; readonly finals: ReadonlySet<string> } => {
  const [head, ...lines] = text.split('\n')
  expect(head).toBe('stateDiagram-v2')
  const names = new Map<string, string>()
  const states = new Set<string>()
  const arrows = new Set<string>()
  const finals = new Set<string>()
  const name = (id: string): string => names.get(id) ?? id
  for (const line of lines) {
    const alias = /^ {2}state "([a-z-]+)" as ([a-z_]+)$/.exec(line)
    const arrow = /^ {2}(\[\*\]|[a-z_]+) --> (\[\*\]|[a-z_]+)(?:: ([a-z, -]+))?$/.exec(line)
    expect(alias ?? arrow, line).not.toBeNull()
    if (alias?.[1] && alias[2]) names.set(alias[2], alias[1])
    const [, from = '', to = '', label] = arrow ?? []
    for (const id of [from, to]) if (id !== '' && id !== '[*]') states.add(name(id))
    if (to === '[*]') finals.add(name(from))
    else for (const event of label?.split(', ') ?? []) arrows.add(`${name(from)} ${event} ${name(to)}`)
  }
  return { states, arrows, finals }
}

const sorted = (items: Iterable<string>): readonly string[] => [...new Set(items)].sort()

/** What a diagram must show, taken from the machine by another way than the page does. */
const expected = ({ states }: Machine) => ({
  states: sorted(Object.keys(states)),
  finals: sorted(Object.keys(states).filter((state) => states[state]?.type === 'final')),
  arrows: sorted(
    Object.entries(states).flatMap(([from, { transitions, always = [] }]) =>
      [
        ...[...transitions].flatMap(([event, branches]) => branches.map((branch) => ({ event, branch }))),
        ...always.map((branch) => ({ event: 'always', branch })),
      ]
        .filter(({ branch }) => branch.target !== undefined)
        .map(({ event, branch }) => `${from} ${event} ${branch.target?.[0]?.key}`),
    ),
  ),
})

describe.each(Object.entries(machines))('the page of machines shows the %s', (_name, { machine }) => {
  test('with every state and every transition, and nothing else', () => {
    const { states, arrows, finals } = parse(diagram(machine))
    const wanted = expected(machine)
    expect(wanted.arrows.length).toBeGreaterThan(wanted.states.length)
    expect({ states: sorted(states), arrows: sorted(arrows), finals: sorted(finals) }).toEqual(wanted)
  })

  test('with an owner and a deadline for every state that waits for something', () => {
    for (const [state, node] of Object.entries(machine.states)) {
      if (node.type === 'final' || state === 'new') continue
      expect([state, metaOf(node)]).toEqual([state, { owner: expect.stringMatching(/^[a-z]+$/), within: expect.any(Function) }])
    }
  })
})

test('a diagram without a transition is caught', () => {
  const job = machines['job']?.machine as Machine
  const text = diagram(job)
    .split('\n')
    .filter((line) => !line.includes('composing --> ended'))
    .join('\n')
  expect(sorted(parse(text).arrows)).not.toEqual(expected(job).arrows)
})

test('every event of every state stands in the tables', () => {
  const page = machinesPage()
  for (const { machine } of Object.values(machines))
    for (const [state, { transitions }] of Object.entries(machine.states))
      for (const event of transitions.keys()) expect(page).toMatch(new RegExp(`\\| \\*\\*${state}\\*\\* \\|.*\`${event}\` \\(`))
})
