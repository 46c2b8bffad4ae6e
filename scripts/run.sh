#!/usr/bin/env bash
# scripts/run.sh PROMPT... [--FLAG...]: continues a prompt with the default model, on a machine that has nothing but Rust.
#
# Installs a Vulkan driver that runs on the CPU where there is no Vulkan device at all (Debian and Ubuntu), fetches the model,
# builds `wavelane` and runs it; each step is skipped where nothing is left to do. Words up to the first that begins with `-`
# are the prompt; the rest goes to `wavelane run` as it is. Without flags the prompt is continued as it stands, by the most
# likely tokens; with flags of its own a call gets what `wavelane run` does by itself (an answer through the chat template).
# shellcheck source=scripts/lib.sh
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

prompt=
while [ $# -gt 0 ] && [ "${1#-}" = "$1" ]; do
  prompt=${prompt:+$prompt }$1
  shift
done
if [ -z "$prompt" ]; then
  printf 'usage: scripts/run.sh PROMPT... [--FLAG...]\nThe flags are those of wavelane run.\n' >&2
  exit 2
fi

# Whether the flags ask for the CPU reference, which needs no driver.
wants_cpu() { case " $* " in *' --device cpu '* | *' --device=cpu '*) true ;; *) false ;; esac; }

# A device counts when the Vulkan loader reports it (scripts/vulkan_devices.py); macOS has Metal, always.
need_vulkan() {
  [ "$(uname)" = Linux ] || return 0
  need_python
  [ -z "$(vulkan_devices)" ] || return 0
  apt_install "there is no Vulkan device" libvulkan1 mesa-vulkan-drivers
  [ -n "$(vulkan_devices)" ] || die \
    "there is still no Vulkan device, although Mesa's software driver is installed." \
    "Look whether VK_DRIVER_FILES or VK_ICD_FILENAMES hides it, or add --device cpu to run on the CPU reference (slow)."
}

[ $# -gt 0 ] || set -- --raw --greedy --max-tokens 32

need_rust
wants_cpu "$@" || need_vulkan
model=$("$root/scripts/fetch.sh" smollm2)
say "building (the first time takes minutes)"
cargo build --manifest-path "$root/Cargo.toml" --release --features cli --quiet
# Through cargo, which knows where its target folder is.
exec cargo run --manifest-path "$root/Cargo.toml" --release --features cli --quiet -- run "$model" "$prompt" "$@"
