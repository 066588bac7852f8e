#!/usr/bin/env bash
# Trains potentials that ship again, from the labelled frames that are here.
#
#   potentials/chno/reproduce.sh f128     # run-final/chno-f128.yaml
#   potentials/chno/reproduce.sh f64      # run-f64-final/chno-f64-1.yaml to chno-f64-4.yaml
#
# Needs pip install '.[train,teacher]' and a GPU; ../README.md says how long it takes. What is done is not done again:
# the same command continues where it was interrupted. MLFF_STUDENT may hold what to call instead of mlff-student.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")"
read -r -a student <<<"${MLFF_STUDENT:-mlff-student}"

usage() { sed -n '2,/^set /{/^set /d;s/^# \{0,1\}//p}' reproduce.sh; }

step() {
  echo "== ${student[*]} $*"
  "${student[@]}" "$@"
}

case ${1:-} in
  f128)
    step train config-f128.yaml --train-only --fusion compile
    step train config-f128-active.yaml --train-only --fusion compile --output run-active
    step train config-f128-final.yaml --train-only --fusion compile --output run-final
    echo "== made $PWD/run-final/chno-f128.yaml"
    ;;
  f64)
    step active config-f64.yaml --fusion compile --output run-f64
    step train config-f64-active.yaml --train-only --fusion compile --output run-f64-active
    step train config-f64-final.yaml --train-only --fusion compile --output run-f64-final
    echo "== made $PWD/run-f64-final/chno-f64-1.yaml to chno-f64-4.yaml"
    ;;
  -h | --help) usage ;;
  *)
    echo "reproduce.sh: ${1:-nothing} given, f128 or f64 expected" >&2
    usage >&2
    exit 2
    ;;
esac
