;; Declares calls with types that they have not.
(module
  (import "wasi_snapshot_preview1" "fd_close" (func $close (param i64 f64) (result i32)))
  (import "wasi_snapshot_preview1" "fd_seek" (func $seek (param i32 f64 externref) (result i32)))
  (import "wasi_snapshot_preview1" "sched_yield" (func $yield (result i64)))
  (memory (export "memory") 1)
  (func (export "_start")
    (drop (call $close (i64.const -1) (f64.const nan)))
    (drop (call $seek (i32.const 1) (f64.const inf) (ref.null extern)))
    (drop (call $yield))))
