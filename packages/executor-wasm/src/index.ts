export { wasmExecutor, type WasmExecutor, type WasmOptions } from './executor.ts'
