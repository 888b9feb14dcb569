# Sourced by slurm_train.sh and slurm_test.sh: starts a tool in GPUS processes
# of a Slurm job.
source "$(dirname "$(readlink -f "${BASH_SOURCE[0]}")")/launch.sh"

require_positive() {  # require_positive NAME_OF_VARIABLE
    if ! [[ ${!1} =~ ^[1-9][0-9]*$ ]]; then
        fail "$1 must be a positive number, got '${!1}'"
    fi
}

launch() {  # launch TOOL PARTITION JOB_NAME [ARGUMENTS...]
    local tool=$1 partition=$2 job_name=$3
    shift 3
    GPUS=${GPUS:-8}
    require_positive GPUS
    GPUS_PER_NODE=${GPUS_PER_NODE:-$((GPUS < 8 ? GPUS : 8))}
    CPUS_PER_TASK=${CPUS_PER_TASK:-5}
    require_positive GPUS_PER_NODE
    require_positive CPUS_PER_TASK
    if ! command -v srun >/dev/null; then
        fail "no srun here; without Slurm use $(basename "${0/slurm_/dist_}")"
    fi
    local srun_args python
    python=$(find_python "$root")
    read -ra srun_args <<<"${SRUN_ARGS:-}"
    MASTER_PORT=${MASTER_PORT:-${PORT:-29500}} \
        PYTHONPATH="$root${PYTHONPATH:+:$PYTHONPATH}" \
        exec srun \
        --partition="$partition" \
        --job-name="$job_name" \
        --gres="gpu:$GPUS_PER_NODE" \
        --ntasks="$GPUS" \
        --ntasks-per-node="$GPUS_PER_NODE" \
        --cpus-per-task="$CPUS_PER_TASK" \
        --kill-on-bad-exit=1 \
        "${srun_args[@]}" \
        "$python" -u "$root/tools/$tool" "$@" --launcher slurm
}
