/** The engines that a node of this program can have. */
export const engineNames = ['wasm', 'noop', 'docker'] as const
export type EngineName = (typeof engineNames)[number]
