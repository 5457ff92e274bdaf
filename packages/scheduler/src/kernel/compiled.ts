import type { AnyStateMachine } from 'xstate'

/** What a step of a machine comes to. `emitted`: the params of its `emit` actions, in order. */
export interface Stepped {
  readonly state: string
  readonly final: boolean
  readonly context: unknown
  readonly emitted: readonly unknown[]
}

interface Scope {
  readonly context: unknown
  readonly event: object
}
type Action = (scope: Scope, emitted: unknown[]) => unknown
interface Branch {
  readonly guard: ((scope: Scope) => boolean) | undefined
  readonly target: string | undefined
  readonly reenter: boolean
  readonly actions: readonly Action[]
}
interface State {
  readonly final: boolean
  readonly entry: readonly Action[]
  readonly on: ReadonlyMap<string, readonly Branch[]>
  readonly always: readonly Branch[]
}

/** Runs a flat machine: undefined where the state does not accept the event. Throws what a guard or an action throws. */
export type Run = (state: string, context: unknown, event: { readonly type: string }) => Stepped | undefined

const mostMicrosteps = 100

/**
 * A machine as xstate defines it, made cheap to run: xstate's `transition()` costs 20 µs and more, this a tenth. It knows what the machines here use: flat
 * states, guards that are functions, `assign`, the actions of `setup`, `always`. Anything else is refused when it is compiled, not run differently. That it
 * runs as xstate does is tested against `transition()` itself.
 */
export const compile = (machine: AnyStateMachine): Run => {
  const states = new Map(Object.entries(machine.states).map(([name, node]) => [name, stateOf(machine, name, node)]))

  return (name, before, event) => {
    const branch = choose(states.get(name)?.on.get(event.type), { context: before, event })
    if (branch === undefined) return undefined
    const emitted: unknown[] = []
    let at = name
    let context = before
    let next: Branch | undefined = branch
    for (let steps = 0; next !== undefined; steps++) {
      if (steps > mostMicrosteps) throw new Error(`machine ${machine.id} does not come to rest in ${at}`)
      context = perform(next.actions, context, event, emitted)
      if (next.target !== undefined && (next.target !== at || next.reenter)) {
        at = next.target
        context = perform(states.get(at)?.entry ?? [], context, event, emitted)
      }
      next = choose(states.get(at)?.always, { context, event })
    }
    return { state: at, final: states.get(at)?.final === true, context, emitted }
  }
}

const choose = (branches: readonly Branch[] | undefined, scope: Scope): Branch | undefined => {
  if (branches !== undefined) for (const branch of branches) if (branch.guard === undefined || branch.guard(scope)) return branch
  return undefined
}

const perform = (actions: readonly Action[], before: unknown, event: object, emitted: unknown[]): unknown => {
  let context = before
  for (const action of actions) context = action({ context, event }, emitted)
  return context
}

type Node = AnyStateMachine['states'][string]

const stateOf = (machine: AnyStateMachine, name: string, node: Node): State => {
  const refuse = (what: string): never => {
    throw new Error(`machine ${machine.id} has ${what} in ${name}, which its interpreter does not know`)
  }
  if (node.type !== 'atomic' && node.type !== 'final') refuse(`a ${node.type} state`)
  if (node.invoke.length > 0 || node.after.length > 0 || node.exit.length > 0) refuse('an invoke, after or exit')

  const actionOf = (action: unknown): Action => {
    const { type, params } = typeof action === 'string' ? { type: action, params: undefined } : (action as { type: string; params?: unknown })
    const given = (scope: Scope): unknown => (typeof params === 'function' ? params(scope) : params)
    if (typeof action === 'function') return type === 'xstate.assign' ? assigns(action, () => undefined) : refuse(`an action of type ${type}`)
    if (type === 'emit')
      return (scope, emitted) => {
        emitted.push(given(scope))
        return scope.context
      }
    const implementation = machine.implementations.actions[type] as { readonly type?: string } | undefined
    if (implementation?.type === 'xstate.assign') return assigns(implementation, given)
    if (type === 'note') return ({ context }) => context
    return refuse(`the action ${type}`)
  }

  const branchOf = (transition: Node['always'] extends readonly (infer T)[] | undefined ? T : never): Branch => {
    const { guard, target, reenter, actions } = transition
    if (guard !== undefined && typeof guard !== 'function') refuse('a guard with a name')
    if (target !== undefined && target.length !== 1) refuse('a transition to several states')
    return {
      guard: guard as Branch['guard'],
      target: target?.[0]?.key,
      reenter,
      actions: actions.map(actionOf),
    }
  }

  return {
    final: node.type === 'final',
    entry: node.entry.map(actionOf),
    on: new Map([...node.transitions].map(([type, transitions]) => [type, transitions.map(branchOf)])),
    always: node.always?.map(branchOf) ?? [],
  }
}

/** `assign` with a function, or with a map of functions and values. */
const assigns = (action: object, params: (scope: Scope) => unknown): Action => {
  const { assignment } = action as { readonly assignment: unknown }
  if (typeof assignment === 'function') return (scope) => ({ ...(scope.context as object), ...assignment(scope, params(scope)) })
  const fields = Object.entries(assignment as object)
  return (scope) => {
    const given = params(scope)
    const next: Record<string, unknown> = { ...(scope.context as object) }
    for (const [key, value] of fields) next[key] = typeof value === 'function' ? value(scope, given) : value
    return next
  }
}
