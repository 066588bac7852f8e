#!/usr/bin/env bash
# bash tests/run.sh: sets up like examples/quickstart.sh and runs all tests. Exit status 0: all passed.
#   MLFF_TEST_TORCH=1   installs PyTorch (5 GB) for the tests of training; without, they run if it is there
#   MLFF_FUZZ_SECONDS   length of the fuzz run (default 60; 0 leaves it out)
#   MLFF_SID_ROOT       where Debian sid is kept for the Kokkos tests (see tests/kokkos.sh; empty leaves it out)
#   MLFF_LAMMPS_KOKKOS  a LAMMPS with KOKKOS, with which all LAMMPS tests run again (see tests/lammps/conftest.py)
#   CI=1                installs Clang for the fuzz run; without, it runs if Clang is there
set -uo pipefail
source "$(dirname "${BASH_SOURCE[0]}")/../examples/setup.sh"
cd "$repository" || exit 1
source tests/kokkos.sh

builds=$repository/build/tests
cores=$(nproc)
fuzz_seconds=${MLFF_FUZZ_SECONDS:-60}
stages=()
failures=0
mkdir -p "$builds"
rm -f "$builds"/*.log

# stage NAME FUNCTION: runs it, keeps what it prints, notes its time and whether it passed.
stage() {
  local name=$1 start=$SECONDS result=passed
  say "$name"
  if ! "$2" </dev/null 2>&1 | tee "$builds/$2.log"; then
    result=FAILED
    failures=$((failures + 1))
  fi
  stages+=("$(printf '%-22s %-8s %4d s' "$name" "$result" $((SECONDS - start)))")
}

skip() {
  say "$1: skipped, $2"
  stages+=("$(printf '%-22s %-8s %s' "$1" skipped "$2")")
}

system_packages() {
  command -v cmake >/dev/null || install_packages cmake
  command -v make >/dev/null || install_packages make
  install_packages g++ libyaml-cpp-dev libgtest-dev
  if [ -n "${CI:-}" ] && [ "$fuzz_seconds" -gt 0 ]; then
    command -v clang++ >/dev/null || install_packages clang
    install_packages "libclang-rt-$(clang_major)-dev"
  fi
}

clang_major() { clang++ -dumpversion | cut -d. -f1; }

python_environment() {
  local extras=(test)
  [ "${MLFF_TEST_TORCH:-0}" = 1 ] && extras+=(train teacher)
  make_venv && install_package "${extras[@]}"
}

# build FOLDER TARGET OPTION...
build() {
  local folder=$builds/$1 target=$2
  shift 2
  cmake -S . -B "$folder" -DMLFF_PLUGIN=OFF "$@" &&
    cmake --build "$folder" --target "$target" -j "$cores"
}

unit_tests() {
  build unit mlff_tests -DMLFF_TESTS=ON &&
    ctest --test-dir "$builds/unit" --output-on-failure -j "$cores"
}

sanitized_unit_tests() {
  build sanitized mlff_tests -DMLFF_TESTS=ON -DMLFF_SANITIZE=address,undefined \
    -DCMAKE_BUILD_TYPE=RelWithDebInfo &&
    ctest --test-dir "$builds/sanitized" --output-on-failure -j "$cores"
}

fuzz() {
  build fuzz fuzz_potential -DMLFF_FUZZ=ON -DCMAKE_CXX_COMPILER=clang++ \
    -DCMAKE_BUILD_TYPE=RelWithDebInfo || return
  mkdir -p "$builds/fuzz/found"
  "$builds/fuzz/tests/fuzz/fuzz_potential" -max_total_time="$fuzz_seconds" -max_len=16384 -timeout=5 \
    -rss_limit_mb=1024 -malloc_limit_mb=64 -dict=tests/fuzz/potential.dict -verbosity=0 \
    -print_final_stats=1 -artifact_prefix="$builds/fuzz/" "$builds/fuzz/found" tests/fuzz/corpus
}

fuzzer_works() {
  command -v clang++ >/dev/null &&
    echo 'extern "C" int LLVMFuzzerTestOneInput(const unsigned char *, unsigned long) { return 0; }' |
    clang++ -fsanitize=fuzzer,address -x c++ - -o "$builds/fuzzer_works" 2>/dev/null
}

python_tests() {
  OMP_NUM_THREADS=1 "$venv/bin/python" -m pytest -q -rs --durations=10 tests/python tests/lammps
}

stage "system packages" system_packages
stage "Python environment" python_environment
[ $failures -eq 0 ] || fail "the set-up failed"

stage "unit tests" unit_tests
stage "sanitized unit tests" sanitized_unit_tests
if [ "$fuzz_seconds" -eq 0 ]; then
  skip "fuzzing" "MLFF_FUZZ_SECONDS=0"
elif ! fuzzer_works; then
  skip "fuzzing" "Clang with libFuzzer is not installed (clang, libclang-rt-*-dev)"
else
  stage "fuzzing" fuzz
fi
if ! kokkos_is_installed && obstacle=$(obstacle_to_sid) && [ -n "$obstacle" ]; then
  skip "Kokkos tests" "CMake finds no Kokkos, and $obstacle"
else
  stage "Kokkos tests" kokkos_tests
fi
"$venv/bin/python" -c 'import torch' 2>/dev/null ||
  skip "tests with PyTorch" "it is not installed; MLFF_TEST_TORCH=1 installs it"
[ -n "${MLFF_LAMMPS_KOKKOS:-}" ] ||
  skip "LAMMPS tests with kk" "MLFF_LAMMPS_KOKKOS names no LAMMPS with KOKKOS"
stage "pytest" python_tests

say "summary"
printf '%s\n' "${stages[@]}"
echo
for log in unit_tests sanitized_unit_tests; do
  echo "ctest, ${log//_/ }: $(grep 'tests passed' "$builds/$log.log" || echo 'not run to the end')"
done
log=$builds/kokkos_tests.log
[ ! -f "$log" ] || echo "Kokkos tests: $(grep '^\[  PASSED' "$log" || echo 'not run to the end')"
echo "pytest: $(tail -n 1 "$builds/python_tests.log")"
[ $failures -eq 0 ] || fail "$failures of the stages failed"
