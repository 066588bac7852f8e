#!/usr/bin/env bash
# bash examples/quickstart.sh [--steps N] [--potential FILE]
# Sets up everything that is missing and runs NVE of benzene: 100 ps from 300 K with a potential that ships.
set -euo pipefail
source "$(dirname "${BASH_SOURCE[0]}")/setup.sh"

make_venv
install_package
say "NVE of benzene: 12 atoms, 100 ps in steps of 0.5 fs"
exec "$venv/bin/python" -m mlff_student.md_report "$repository/examples/benzene/in.nve" "$@"
