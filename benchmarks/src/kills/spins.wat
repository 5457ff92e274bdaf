;; Counts for a moment, writes a line, and counts again: so that a kill meets it before, while and after it has written.
;; wat2wasm spins.wat -o spins.wasm
(module
  (import "wasi_snapshot_preview1" "fd_write" (func $write (param i32 i32 i32 i32) (result i32)))
  (memory (export "memory") 1)
  (data (i32.const 16) "counted\n")
  (func $spin (local $left i32)
    (local.set $left (i32.const 5000000))
    (loop $more (br_if $more (local.tee $left (i32.sub (local.get $left) (i32.const 1))))))
  (func (export "_start")
    (call $spin)
    (i32.store (i32.const 0) (i32.const 16))
    (i32.store (i32.const 4) (i32.const 8))
    (drop (call $write (i32.const 1) (i32.const 0) (i32.const 1) (i32.const 8)))
    (call $spin)))
