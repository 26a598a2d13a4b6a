# shellcheck shell=bash
# Shared by the scripts beside it; sourced after `root` is set to the repository's folder.

: "${root:?set root before sourcing tools/lib.sh}"
models=${DUET_MODELS:-${XDG_DATA_HOME:-$HOME/.local/share}/duet/models}
# shellcheck disable=SC2034 # both are read by the scripts that source this file
default_model=smollm2-135m-instruct
# shellcheck disable=SC2034
test_models=(smollm2-135m-instruct gemma-3-270m)

say() { printf 'duet: %s\n' "$*" >&2; }
die() { say "$*"; exit 1; }

# Where the model of that name in Sources/duet/Pull/models.tsv lies once it is fetched.
model_path() {
  local name file
  while IFS=$'\t' read -r name file _; do
    if [[ $name == "$1" ]]; then
      printf '%s/%s\n' "$models" "$file"
      return
    fi
  done <"$root/Sources/duet/Pull/models.tsv"
  die "Sources/duet/Pull/models.tsv lists no model named $1"
}

# Runs the rest of the script alone: a second caller waits until the first has ended.
lock() {
  mkdir -p "$root/.build"
  exec 9>"$root/.build/$1.lock"
  if command -v flock >/dev/null && ! flock -n 9; then
    say "waiting for another $1 to end"
    flock 9
  fi
}
unlock() { exec 9>&-; }

# What a build needs and the system lacks: one Debian package a line.
missing_packages() {
  [[ -e /usr/include/sqlite3.h || -e /usr/local/include/sqlite3.h ]] || echo libsqlite3-dev
  [[ -e /usr/include/zlib.h || -e /usr/local/include/zlib.h ]] || echo zlib1g-dev
  [[ -e /usr/include/jpeglib.h || -e /usr/local/include/jpeglib.h ]] || echo libjpeg-dev
  [[ -e /usr/include/png.h || -e /usr/local/include/png.h ]] || echo libpng-dev
  [[ -e /usr/include/cblas.h || -n $(compgen -G '/usr/include/*/cblas*.h') ]] || echo libopenblas-dev
  command -v python3 >/dev/null || echo python3
}

# Where Debian has headers and libraries of 64-bit ARM, for which programs are built here and run by an emulator.
# shellcheck disable=SC2034
arm_root=/usr/aarch64-linux-gnu

# What that needs and the system lacks. No compiler is among it: Swift's own builds for ARM too.
missing_emulation() {
  command -v qemu-aarch64 >/dev/null || echo qemu-user
  [[ -e $arm_root/include/stdio.h && -e $arm_root/lib/crt1.o ]] || echo libc6-dev-arm64-cross
}

minutes() { printf '%d min %02d s' $(($1 / 60)) $(($1 % 60)); }
