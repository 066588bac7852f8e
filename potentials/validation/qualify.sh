#!/bin/bash
# Validates a potential from beginning to end and writes doc/validation.md.
#
#   potentials/validation/qualify.sh my.yaml config.yaml                              # on CPUs: days
#   potentials/validation/qualify.sh my.yaml config.yaml 'lmp -k on g 1 -sf kk'      # on a GPU
#   potentials/validation/qualify.sh my.yaml config.yaml 'lmp -k on g 1 -sf kk' 4 4  # on four, a test on each
#
# What is done is not done again, so the same command continues where it was interrupted.
set -euo pipefail
potential=$1 config=$2 lammps=${3:-} jobs=${4:-1} gpus=${5:-0}
here=$(dirname "$0")
python "$here/errors.py" "$potential" "$config"
python "$here/validate.py" "$potential" --lammps "$lammps"
python "$here/stability.py" "$potential" --lammps "$lammps" --jobs "$jobs" --gpus "$gpus"
python "$here/report.py"
