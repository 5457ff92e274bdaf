import { computeExecutionMachine } from '../packages/scheduler/src/machines/compute-execution.ts'
import { executionMachine } from '../packages/scheduler/src/machines/execution.ts'
import { jobMachine } from '../packages/scheduler/src/machines/job.ts'
import { shardMachine } from '../packages/scheduler/src/machines/shard.ts'
import { code, paragraphs, table } from './markdown.ts'

/** What this page needs of an xstate machine. */
interface Branch {
  readonly target?: readonly { readonly key: string }[] | undefined
}
interface StateNode {
  readonly type: string
  readonly meta?: unknown
  readonly always?: readonly Branch[] | undefined
  readonly transitions: ReadonlyMap<string, readonly Branch[]>
}
export interface Machine {
  readonly states: Readonly<Record<string, StateNode>>
}

/** The machines of a node, by the name of their objects. */
export const machines: Readonly<Record<string, { readonly machine: Machine; readonly file: string; readonly about: string }>> = {
  job: { machine: jobMachine, file: 'job.ts', about: 'What the user submitted, at its requester. Its shards are opened a window at a time.' },
  shard: {
    machine: shardMachine,
    file: 'shard.ts',
    about:
      'One part of the input, at its requester: nodes are asked, one bid is awarded, and what its execution comes to is the result, or another attempt follows.',
  },
  execution: { machine: executionMachine, file: 'execution.ts', about: 'One attempt to run one shard on one node, as the requester sees it.' },
  'compute execution': {
    machine: computeExecutionMachine,
    file: 'compute-execution.ts',
    about: 'The same attempt as the compute node sees it, from the ask to the clean-up. What it holds in a state is the reservation.',
  },
}

/** An arrow of a diagram: from a state to another (or into the same one anew), on an event; `always` is no event. */
export interface Arrow {
  readonly from: string
  readonly event: string
  readonly to: string
}

/** Every way in which a machine changes its state. */
export const arrowsOf = ({ states }: Machine): readonly Arrow[] =>
  Object.entries(states).flatMap(([from, node]) => {
    const arrows = [...node.transitions, ['always', node.always ?? []] as const].flatMap(([event, list]) =>
      list.flatMap(({ target }) => (target ?? []).map(({ key }) => ({ from, event, to: key }))),
    )
    return [...new Map(arrows.map((arrow) => [`${arrow.event} ${arrow.to}`, arrow])).values()]
  })

/** Mermaid's ids have no hyphens. */
const idOf = (state: string): string => state.replaceAll('-', '_')

/** A machine as a mermaid state diagram, made from the machine itself. */
export const diagram = (machine: Machine): string => {
  const labels = new Map<string, string[]>()
  for (const { from, event, to } of arrowsOf(machine)) {
    const path = `${idOf(from)} --> ${idOf(to)}`
    labels.set(path, [...(labels.get(path) ?? []), event])
  }
  const final = Object.entries(machine.states).filter(([, { type }]) => type === 'final')
  return [
    'stateDiagram-v2',
    ...Object.keys(machine.states)
      .filter((state) => idOf(state) !== state)
      .map((state) => `  state "${state}" as ${idOf(state)}`),
    '  [*] --> new',
    ...[...labels].map(([path, events]) => `  ${path}: ${events.join(', ')}`),
    ...final.map(([state]) => `  ${idOf(state)} --> [*]`),
  ].join('\n')
}

interface Meta {
  readonly owner: string
  readonly within: (context: never, now: number) => number
}
export const metaOf = ({ meta }: StateNode): Meta | undefined => meta as Meta | undefined

/** What a deadline is, as it stands in the code: `(context) => context.times.stop` is `times.stop`. */
const deadline = ({ within }: Meta): string => {
  const source = String(within).replaceAll(/\s+/g, ' ')
  return source
    .slice(source.indexOf('=>') + 2)
    .replaceAll('context.', '')
    .replaceAll('(context)', '')
    .trim()
}

const events = ({ transitions }: StateNode): string =>
  [...transitions]
    .map(([event, branches]) => {
      const targets = new Set(branches.map(({ target }) => target?.[0]?.key ?? 'stays'))
      return `${code(event)} (${[...targets].map((target) => (target === 'stays' ? target : `→ ${target}`)).join(', ')})`
    })
    .join('; ')

const stateTable = ({ states }: Machine): string =>
  table(
    ['state', 'owner', 'deadline', 'events accepted'],
    Object.entries(states).map(([state, node]) => {
      const given = metaOf(node)
      if (node.type === 'final') return [`**${state}**`, '', '', 'none: final']
      const always = node.always?.map(({ target }) => target?.[0]?.key ?? 'stays') ?? []
      const accepted = [events(node), ...(always.length > 0 ? [`always, by its facts: ${[...new Set(always)].join(', ')}`] : [])].filter((part) => part !== '')
      return [`**${state}**`, given?.owner ?? '', given ? code(deadline(given)) : '', accepted.join('; ')]
    }),
  )

/** docs/machines.md */
export const machinesPage = (): string =>
  paragraphs([
    '# State machines',
    '<!-- Generated from packages/scheduler/src/machines by `pnpm generate`: change those, not this page. -->',
    'Everything that a node remembers of a job is one of four kinds of object, and each is a state machine. Events are messages of other nodes ([protocol.md](protocol.md)), results of the node’s own effects, the user’s wishes, and `deadline`. ' +
      'An event that a state does not accept changes nothing and is recorded in the object’s history.',
    'Reading the diagrams: an event on several arrows from one state means that the machine decides by what it knows in that turn; `always` is decided at once, on entering. An event that is accepted and leaves the state as it is has no arrow: it stands in the table as “stays”. ' +
      '`new` is never stored: it is where an object comes from.',
    'Reading the tables: the *owner* is who must act next. The *deadline* is the time within which, in milliseconds from entering the state, as the machine’s own code says it over the object’s fields; `now` is the time of the turn, ' +
      '`lease` the lease lengthened by the drift factor, `patient(context, x)` x lengthened by it, `silence(context, now)` what is left of that lease since the node was last known to be there, `untilEnd` what is left of the job’s total time. When it passes, the state gets `deadline`.',
    ...Object.entries(machines).flatMap(([name, { machine, file, about }]) => [
      `## ${name[0]?.toUpperCase()}${name.slice(1)}`,
      `${about} [${file}](../packages/scheduler/src/machines/${file})`,
      `\`\`\`mermaid\n${diagram(machine)}\n\`\`\``,
      stateTable(machine),
    ]),
  ])
