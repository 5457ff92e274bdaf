export { type WasmExecutor, type WasmOptions, wasmExecutor } from './executor.ts'
