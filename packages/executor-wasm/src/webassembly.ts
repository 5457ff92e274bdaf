// Node's types do not describe WebAssembly, and the DOM's would bring a browser along. What is used here:
// https://webassembly.github.io/spec/js-api/

export interface WasmMemory {
  readonly buffer: ArrayBuffer
}
export interface WasmModule {
  readonly [Symbol.toStringTag]: 'WebAssembly.Module'
}
export interface WasmInstance {
  readonly exports: Readonly<Record<string, unknown>>
}
export type WasmImports = Readonly<Record<string, Readonly<Record<string, unknown>>>>

interface Engine {
  readonly Module: {
    new (bytes: Uint8Array<ArrayBuffer>): WasmModule
    exports(module: WasmModule): readonly { readonly name: string; readonly kind: string }[]
  }
  readonly Instance: new (module: WasmModule, imports: WasmImports) => WasmInstance
  readonly Memory: new (descriptor: { readonly initial: number; readonly maximum: number }) => WasmMemory
  readonly CompileError: ErrorConstructor
  readonly LinkError: ErrorConstructor
  readonly RuntimeError: ErrorConstructor
  readonly Exception: new (...parameters: never) => object
}

export const webAssembly: Engine = Reflect.get(globalThis, 'WebAssembly')
