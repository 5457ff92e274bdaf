;; Grows its memory and its table as far as they go; ends with the pages of the memory, or with 1 where the table grew without end.
(module
  (import "wasi_snapshot_preview1" "proc_exit" (func $exit (param i32)))
  (memory (export "memory") 1)
  (table $table 1 funcref)
  (func (export "_start")
    (if (i32.ne (table.grow $table (ref.null func) (i32.const 5000000)) (i32.const -1)) (then (call $exit (i32.const 1))))
    (loop $more (br_if $more (i32.ne (memory.grow (i32.const 1)) (i32.const -1))))
    (call $exit (memory.size))))
