export { type DetectOptions, detectGpus } from './detect.ts'
export type { Gpu, GpuInventory, GpuProblem, GpuVendor } from './gpu.ts'
export { type RunTool, type ToolOptions, type ToolOutput, toolRunner } from './tool.ts'
