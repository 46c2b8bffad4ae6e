#!/usr/bin/env bash
# scripts/fuzz.sh TARGET [SECONDS] [LIBFUZZER-OPTION...]: fuzzes a reader of fuzz/fuzz_targets for SECONDS (default 600). Without
# a target it lists them; with 0 seconds it only builds.
#
# What cargo-fuzz does, without cargo-fuzz and on stable Rust: libFuzzer is told where the code went by counters that LLVM puts
# in. There is no address sanitizer, which stable Rust lacks; the readers have no unsafe code of their own. The corpus grows in
# fuzz/corpus/TARGET; an input that panics, hangs or takes too much memory ends the run and lies in fuzz/artifacts/TARGET.
# shellcheck source=scripts/lib.sh
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

cd "$root/fuzz"
targets=$(for file in fuzz_targets/*.rs; do basename "$file" .rs; done)
if [ $# = 0 ]; then
  printf 'usage: scripts/fuzz.sh TARGET [SECONDS] [LIBFUZZER-OPTION...]\ntargets:\n%s\n' "$targets" >&2
  exit 2
fi
target=$1 seconds=${2:-600}
printf '%s\n' "$targets" | grep -qx "$target" || die "there is no target '$target'; scripts/fuzz.sh lists them"
shift $(($# < 2 ? $# : 2))
need_rust
need_python

flags="-Cpasses=sancov-module --cfg fuzzing"
for option in level=4 inline-8bit-counters pc-table trace-compares; do
  flags="$flags -Cllvm-args=-sanitizer-coverage-$option"
done
# With a target given, cargo keeps the flags from build scripts and macros, which run without libFuzzer.
host=$(rustc -vV | sed -n 's/^host: //p')
# The versions of everything are the crate's own.
cp ../Cargo.lock Cargo.lock
RUSTFLAGS=$flags CARGO_TARGET_DIR=${CARGO_TARGET_DIR:-target} cargo build --release --target "$host" --bin "$target"
[ "$seconds" != 0 ] || exit 0

python3 ../scripts/make_fuzz_seeds.py "$target" "corpus/$target"
mkdir -p "artifacts/$target"
"${CARGO_TARGET_DIR:-target}/$host/release/$target" "corpus/$target" -artifact_prefix="artifacts/$target/" \
  -max_total_time="$seconds" -rss_limit_mb=2048 -max_len=65536 -timeout=10 -print_final_stats=1 "$@"
