# Sourced by tests/run.sh: the tests of the device backend. They use the Kokkos that CMake finds (Kokkos_ROOT,
# CMAKE_PREFIX_PATH), else Debian sid's, which is new enough and runs on OpenMP. That one lives in a root folder of
# its own (0.9 GB, a minute to make), into which the sources are copied, as containers may not mount anything.
#   MLFF_SID_ROOT   where that root is kept, outside the checkout; empty: do not use it

sid_root=${MLFF_SID_ROOT-${XDG_CACHE_HOME:-~/.cache}/mlff-student/sid-root}
sid_packages=(g++ cmake make libkokkos-dev libyaml-cpp-dev libgtest-dev)

as_root() {
  if [ "$(id -u)" -eq 0 ]; then "$@"; else sudo -n "$@"; fi
}

# in_sid COMMAND...: runs it in the sid root, in which the checkout has the same path as here.
in_sid() {
  as_root chroot "$sid_root" env -i PATH=/usr/sbin:/usr/bin LC_ALL=C.UTF-8 DEBIAN_FRONTEND=noninteractive "$@"
}

kokkos_is_installed() {
  local project=$builds/find_kokkos
  rm -rf "$project" && mkdir -p "$project"
  printf '%s\n' 'cmake_minimum_required(VERSION 3.20)' 'project(find_kokkos LANGUAGES CXX)' \
    'find_package(Kokkos CONFIG REQUIRED)' >"$project/CMakeLists.txt"
  cmake -S "$project" -B "$project/build" >"$project/log" 2>&1
}

# Prints what keeps us from using a sid root, or nothing.
obstacle_to_sid() {
  if [ -z "$sid_root" ]; then
    echo "MLFF_SID_ROOT is empty"
  elif ! command -v apt-get >/dev/null; then
    echo "Debian sid's is set up on Debian and Ubuntu only"
  elif ! as_root sh -c 'chroot / true && mknod "$0" c 1 3 && rm "$0"' "$(mktemp -u)" 2>/dev/null; then
    echo "Debian sid's is set up by root only, with the right to make devices"
  fi
}

# The Debian mirror that this machine uses.
debian_mirror() {
  apt-get indextargets --format '$(REPO_URI)' 'Created-By: Packages' |
    grep -m 1 -E '^https?://.*/debian/?$' || echo http://deb.debian.org/debian
}

# Makes the sid root unless there is one with these packages. Only a complete one gets its name.
make_sid_root() (
  stamp=mlff-student.packages
  final=$sid_root
  log=$builds/sid_root.log
  mkdir -p "$(dirname "$final")" && exec 9>"$final.lock" && flock 9 || exit
  [ "$(cat "$final/$stamp" 2>/dev/null)" = "${sid_packages[*]}" ] && exit
  install_packages debootstrap debian-archive-keyring
  say "installing Debian sid with Kokkos in $final"
  sid_root=$final.partial
  remove_sid "$sid_root" && bootstrap_sid >"$log" 2>&1 && install_in_sid >>"$log" 2>&1 || {
    tail -n 20 "$log"
    fail "Debian sid could not be installed; all messages are in $log"
  }
  as_root tee "$sid_root/$stamp" >/dev/null <<<"${sid_packages[*]}" &&
    remove_sid "$final" && as_root mv -T "$sid_root" "$final"
)

# An interrupted debootstrap leaves /proc and /sys mounted.
remove_sid() {
  local folder
  for folder in proc sys; do
    mountpoint -q "$1/$folder" && as_root umount "$1/$folder"
  done
  as_root rm -rf --one-file-system "$1"
}

bootstrap_sid() {
  local http_proxy=${http_proxy:-} https_proxy=${https_proxy:-}
  eval "$(apt-config shell http_proxy Acquire::http::Proxy https_proxy Acquire::https::Proxy)"
  as_root env http_proxy="$http_proxy" https_proxy="$https_proxy" \
    debootstrap --variant=minbase --include=ca-certificates --force-check-gpg sid "$sid_root" "$(debian_mirror)"
}

# libkokkos-dev 5.2.2-2 names two archives that it does not ship. What they are for is in headers.
install_in_sid() {
  apt-config dump | grep -E '^Acquire::(https?::Proxy|Check-Valid-Until|Check-Date|Retries) ' |
    as_root tee "$sid_root/etc/apt/apt.conf.d/90host"
  echo force-unsafe-io | as_root tee "$sid_root/etc/dpkg/dpkg.cfg.d/unsafe-io"
  as_root cp /etc/hosts "$sid_root/etc/hosts"
  in_sid apt-get update -qq &&
    in_sid apt-get install -y -qq --no-install-recommends "${sid_packages[@]}" &&
    in_sid apt-get clean &&
    in_sid sh -c 'cd "/usr/lib/$(g++ -print-multiarch)" &&
      for part in algorithms simd; do [ -e libkokkos$part.a ] || ar rc libkokkos$part.a || exit; done'
}

copy_sources_into_sid() {
  in_sid mkdir -p "$repository" &&
    tar -C "$repository" -c CMakeLists.txt cmake kokkos potentials src tests |
    in_sid tar -C "$repository" -x --recursive-unlink --no-same-owner
}

# build_and_test_kokkos [WHERE]: here, or by the command WHERE elsewhere. Threads that wait actively for work make
# the tests four times as long where other programs want the cores too.
build_and_test_kokkos() {
  local folder=$builds/kokkos
  "$@" cmake -S "$repository" -B "$folder" -DMLFF_PLUGIN=OFF -DMLFF_TESTS=ON -DMLFF_KOKKOS=ON \
    -DCMAKE_RUNTIME_OUTPUT_DIRECTORY="$folder" &&
    "$@" cmake --build "$folder" --target mlff_kokkos_tests -j "$cores" &&
    "$@" env OMP_NUM_THREADS=2 OMP_PROC_BIND=false OMP_WAIT_POLICY=passive \
      "$folder/mlff_kokkos_tests" --gtest_brief=1
}

kokkos_tests() {
  if kokkos_is_installed; then
    build_and_test_kokkos
  else
    make_sid_root && copy_sources_into_sid && build_and_test_kokkos in_sid
  fi
}
