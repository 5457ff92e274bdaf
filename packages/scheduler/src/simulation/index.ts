export type { Interference } from './fakes.ts'
export { seededRandom } from './random.ts'
export { type CrashPoint, createSimulation, type Happened, type SimulatedNode, type Simulation, type SimulationOptions } from './simulation.ts'
