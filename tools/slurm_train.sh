#!/usr/bin/env bash
# Trains on a Slurm cluster; WORK_DIR may be left out. Environment: GPUS (8),
# GPUS_PER_NODE, CPUS_PER_TASK, SRUN_ARGS, PORT, PYTHON.
set -euo pipefail
if (($# < 3)); then
    echo "usage: $(basename "$0") PARTITION JOB_NAME CONFIG [WORK_DIR] [arguments of train.py]" >&2
    exit 2
fi
source "$(dirname "$(readlink -f "${BASH_SOURCE[0]}")")/slurm_launch.sh"
where=("${@:1:3}")
shift 3
# mmdet's script takes a WORK_DIR, mmseg's does not.
if (($#)) && [[ $1 != -* ]]; then
    set -- --work-dir "$@"
fi
launch train.py "${where[@]}" "$@"
