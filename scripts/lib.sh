# Functions shared by the scripts of this folder. Sourced, never run; written for bash 3.2 (macOS) and newer.
# shellcheck shell=bash

set -euo pipefail

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
# Where models live.
# shellcheck disable=SC2034  # used by the scripts that source this file
cache=${WAVELANE_CACHE:-${XDG_CACHE_HOME:-${HOME:?neither WAVELANE_CACHE nor HOME is set}/.cache}/wavelane}
[ "${cache#/}" != "$cache" ] || cache=$PWD/$cache

# One line of progress. Standard output is left to results.
say() { printf 'wavelane: %s\n' "$*" >&2; }

# die MESSAGE...: one line per message, then status 1.
die() {
  printf 'wavelane: %s\n' "$@" >&2
  exit 1
}

has() { command -v "$1" >/dev/null 2>&1; }

# become_root PACKAGE...: makes `as_root` work from here on, or says why it cannot. sudo may ask for a password, but only
# where there is a terminal to type it on.
become_root() {
  [ "$(id -u)" != 0 ] || return 0
  local advice="Run as root: apt-get install $*"
  has sudo || die "installing takes root, and there is no sudo. $advice"
  if [ -t 0 ]; then sudo -v; else sudo -n true; fi || die "installing takes root, and sudo refused. $advice"
}

as_root() { if [ "$(id -u)" = 0 ]; then "$@"; else sudo -n "$@"; fi; }

# apt_install REASON PACKAGE...: installs Debian packages, or says what is missing and how to get it.
apt_install() {
  local reason=$1 log try status
  shift
  has apt-get || die "$reason, and there is no apt-get: install what Debian calls $*"
  say "installing $* ($reason)"
  become_root "$@"
  log=$(mktemp)
  # Another apt may hold the package lists, and for those apt does not wait by itself: try again for up to five minutes.
  for try in $(seq 60); do
    status=0
    {
      as_root env LC_ALL=C DEBIAN_FRONTEND=noninteractive apt-get -q update &&
        as_root env LC_ALL=C DEBIAN_FRONTEND=noninteractive apt-get -q install -y --no-install-recommends "$@"
    } >"$log" 2>&1 </dev/null || status=$?
    if [ "$status" = 0 ] || [ "$try" = 60 ] || ! grep -q 'Unable to lock\|Could not get lock' "$log"; then break; fi
    sleep 5
  done
  if [ "$status" != 0 ]; then
    tail -n 15 "$log" >&2
    rm -f "$log"
    die "installing failed. Run as root: apt-get install $*"
  fi
  rm -f "$log"
}

need_python() {
  has python3 && return
  [ "$(uname)" != Darwin ] || die "python3 is missing: run xcode-select --install"
  apt_install "python3 is missing" python3
}

need_pip() {
  need_python
  python3 -m pip --version >/dev/null 2>&1 && return
  [ "$(uname)" != Darwin ] || die "python3 has no pip: run python3 -m ensurepip"
  apt_install "python3 has no pip" python3-pip
}

# Rust, and the C linker that rustc calls.
need_rust() {
  # A shell that is older than the Rust installation does not have it on its PATH yet.
  has cargo || PATH="${CARGO_HOME:-$HOME/.cargo}/bin:$PATH"
  has cargo || die "cargo is missing: install Rust 1.95 or newer with rustup"
  has cc && return
  [ "$(uname)" != Darwin ] || die "the linker cc is missing: run xcode-select --install"
  apt_install "the linker cc is missing" gcc libc6-dev
}

# sha256_is FILE SUM
sha256_is() {
  local sum
  if has sha256sum; then sum=$(sha256sum <"$1"); else sum=$(shasum -a 256 <"$1"); fi
  [ "${sum%% *}" = "$2" ]
}

# The names of the Vulkan devices that programs started from here will see, one a line.
vulkan_devices() { python3 "$root/scripts/vulkan_devices.py"; }
