#!/usr/bin/env bash
# Tests on a Slurm cluster. Environment: GPUS (8), GPUS_PER_NODE,
# CPUS_PER_TASK, SRUN_ARGS, PORT, PYTHON.
set -euo pipefail
if (($# < 4)); then
    echo "usage: $(basename "$0") PARTITION JOB_NAME CONFIG CHECKPOINT [arguments of test.py]" >&2
    exit 2
fi
source "$(dirname "$(readlink -f "${BASH_SOURCE[0]}")")/slurm_launch.sh"
launch test.py "$@"
