#!/usr/bin/env bash
# Tests in several processes. Environment: NNODES, NODE_RANK, PORT,
# MASTER_ADDR, OMP_NUM_THREADS, PYTHON.
set -euo pipefail
if (($# < 3)); then
    echo "usage: $(basename "$0") CONFIG CHECKPOINT GPUS [arguments of test.py]" >&2
    exit 2
fi
source "$(dirname "$(readlink -f "${BASH_SOURCE[0]}")")/dist_launch.sh"
launch test.py "$3" "$1" "$2" "${@:4}"
