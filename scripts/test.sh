#!/usr/bin/env bash
# scripts/test.sh: everything that must hold before a commit. Installs two software Vulkan drivers (lavapipe, SwiftShader) and
# spirv-val, fetches the fixtures, then checks format, lints and documentation and runs all tests. Debian and Ubuntu.
#
# SwiftShader comes with Debian's `chromium`. Elsewhere set WAVELANE_SWIFTSHADER_ICD to a `vk_swiftshader_icd.json` with
# `libvk_swiftshader.so` beside it; Google Chrome's package has both in /opt/google/chrome.
# shellcheck source=scripts/lib.sh
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

[ "$(uname)" = Linux ] || die "these drivers exist on Linux only; here run cargo test --features cli, on the devices there are"
cd "$root"

# step TITLE COMMAND...: the first command that fails ends everything with its status.
step() {
  title=$1
  local began=$SECONDS
  shift
  printf '\n== %s\n' "$title"
  "$@"
  printf '== %s: %s s\n' "$title" "$((SECONDS - began))"
}

report() {
  local status=$?
  if [ "$status" = 0 ]; then
    printf '\n== all passed: %s s in total\n' "$SECONDS"
  else
    printf '\n== %s: FAILED with status %s, %s s in total\n' "$title" "$status" "$SECONDS" >&2
  fi
}

# first_file PATH...: the first that exists.
first_file() {
  local file
  for file in "$@"; do
    if [ -f "$file" ]; then
      printf '%s\n' "$file"
      return
    fi
  done
}

find_lavapipe() { first_file /usr/share/vulkan/icd.d/lvp_icd*.json /etc/vulkan/icd.d/lvp_icd*.json; }

find_swiftshader() {
  if [ -n "${WAVELANE_SWIFTSHADER_ICD:-}" ]; then
    first_file "$WAVELANE_SWIFTSHADER_ICD"
  else
    first_file /usr/lib/chromium/vk_swiftshader_icd.json /opt/google/chrome/vk_swiftshader_icd.json
  fi
}

install_drivers() {
  need_python
  if [ -z "$(find_lavapipe)" ] || ! has_loader; then
    apt_install "lavapipe is missing" libvulkan1 mesa-vulkan-drivers
  fi
  [ -z "$(find_swiftshader)" ] || return 0
  [ -z "${WAVELANE_SWIFTSHADER_ICD:-}" ] || die "WAVELANE_SWIFTSHADER_ICD names no file: $WAVELANE_SWIFTSHADER_ICD"
  # Ubuntu's chromium package only installs a snap, which keeps the driver to itself.
  grep -q '^ID=debian$' /etc/os-release || die \
    "SwiftShader is missing: only Debian has a package that contains it (chromium)." \
    "Set WAVELANE_SWIFTSHADER_ICD to a vk_swiftshader_icd.json with libvk_swiftshader.so beside it," \
    "or install Google Chrome's package, whose /opt/google/chrome is searched."
  apt_install "SwiftShader is missing" chromium
}

has_loader() { python3 -c 'import ctypes; ctypes.CDLL("libvulkan.so.1")' 2>/dev/null; }

# Shows both drivers, and nothing else, to everything that runs later, and demands them. Tests choose by adapter name.
use_drivers() {
  local device devices
  VK_DRIVER_FILES=$(find_lavapipe):$(find_swiftshader)
  VK_ICD_FILENAMES=$VK_DRIVER_FILES # the name that loaders before 1.3.207 know
  WAVELANE_REQUIRE_DEVICES="llvmpipe,SwiftShader" # a test that needs one of these must fail without it, not skip
  export VK_DRIVER_FILES VK_ICD_FILENAMES WAVELANE_REQUIRE_DEVICES
  devices=$(vulkan_devices)
  printf '%s\n' "$devices"
  for device in llvmpipe SwiftShader; do
    case $devices in *"$device"*) ;; *) die "the Vulkan loader reports no $device (drivers: $VK_DRIVER_FILES)" ;; esac
  done
}

fetch_fixtures() {
  scripts/fetch.sh smollm2 ocr silero-vad basic-pitch magika onnx-light realesrgan vit-focus
  if [ -f scripts/fetch_tokenizer_goldens.sh ]; then bash scripts/fetch_tokenizer_goldens.sh "$cache/ggml-vocab"; fi
}

# For the test that holds the SPIR-V of every kernel against the specification.
install_spirv_tools() { has spirv-val || apt_install "spirv-val is missing" spirv-tools; }

# The library for browsers, where the compiler has their target. Not incremental: that leaves out the lint that finds arithmetic
# too wide for their 32 bits.
check_for_browsers() {
  if [ -d "$(rustc --print sysroot)/lib/rustlib/wasm32-unknown-unknown" ]; then
    CARGO_INCREMENTAL=0 cargo check --target wasm32-unknown-unknown --no-default-features --lib
  else
    printf 'skipped: rustc lacks the target; rustup target add wasm32-unknown-unknown\n'
  fi
}

document() { RUSTDOCFLAGS="-D warnings" cargo doc --no-deps --features cli; }

export WAVELANE_CACHE=$cache WAVELANE_REQUIRE_MODELS=1 WAVELANE_REQUIRE_SPIRV_VAL=1
trap report EXIT
step "tools" need_rust
step "tools: spirv-val" install_spirv_tools
step "drivers: install" install_drivers
step "drivers: devices" use_drivers
step "fixtures" fetch_fixtures
step "format" cargo fmt --check
step "clippy, everything" cargo clippy --all-targets --features cli -- -D warnings
step "clippy, bare library" cargo clippy --no-default-features --lib -- -D warnings
step "check, for browsers" check_for_browsers
step "documentation" document
step "tests" cargo test --features cli
