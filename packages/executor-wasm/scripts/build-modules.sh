#!/bin/sh
# Rebuilds test/modules/*.wasm from the sources beside them. The tests need none of this.
# Debian: apt-get install clang-16 lld-16 wasi-libc libclang-rt-16-dev-wasm32 wabt; Go >= 1.24; rustup target add wasm32-wasip1.
set -eu
cd "$(dirname "$0")/../test/modules"
for name in programs hostile; do
  clang-16 --target=wasm32-wasi --sysroot=/usr -O2 -Wl,--strip-all "$name.c" -o "$name.wasm"
done
rustc --edition 2021 --target wasm32-wasip1 -C opt-level=s -C lto -C strip=symbols rust.rs -o rust.wasm
GOOS=wasip1 GOARCH=wasm go build -trimpath -ldflags '-s -w -buildid=' -o go.wasm go.go
for source in *.wat; do
  wat2wasm --enable-exceptions "$source" -o "${source%.wat}.wasm"
done
chmod a-x ./*.wasm
