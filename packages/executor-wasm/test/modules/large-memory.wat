;; Needs 1 GiB to start.
(module (memory (export "memory") 16384) (func (export "_start")))
