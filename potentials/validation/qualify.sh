#!/bin/bash
# Validates a potential from beginning to end and decides. Results and a page of them go to validation-NAME/.
#
#   potentials/validation/qualify.sh my.yaml config.yaml                                    # on CPUs: days
#   potentials/validation/qualify.sh my.yaml config.yaml --scale 0.001                      # a quick look: minutes
#   potentials/validation/qualify.sh my.yaml config.yaml --lammps 'lmp -k on g 1 -sf kk'    # on a GPU
#   potentials/validation/qualify.sh my.yaml config.yaml --lammps '...' --jobs 4 --gpus 4   # on four, a test on each
#   potentials/validation/qualify.sh --help
#
# What is done is not done again, so the same command continues where it was interrupted.
# Exit status: 0: no criterion failed; 1: one did, and it is named; 2: something could not be measured.
here=$(dirname "$0")
own=$here/../../.venv/bin/python # of this checkout; an activated environment comes first
if [[ -z $PYTHON && -z $VIRTUAL_ENV && -x $own ]]; then PYTHON=$own; fi
exec "${PYTHON:-python3}" "$here/qualify.py" "$@"
