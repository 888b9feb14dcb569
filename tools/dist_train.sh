#!/usr/bin/env bash
# Trains in several processes. Environment: NNODES, NODE_RANK, PORT,
# MASTER_ADDR, OMP_NUM_THREADS, PYTHON.
set -euo pipefail
if (($# < 2)); then
    echo "usage: $(basename "$0") CONFIG GPUS [arguments of train.py]" >&2
    exit 2
fi
source "$(dirname "$(readlink -f "${BASH_SOURCE[0]}")")/dist_launch.sh"
launch train.py "$2" "$1" "${@:3}"
