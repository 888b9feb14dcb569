# Sourced by dist_train.sh and dist_test.sh: starts a tool in GPUS processes.
# Without a GPU they are processes on the CPU, which share its cores.
source "$(dirname "$(readlink -f "${BASH_SOURCE[0]}")")/launch.sh"

launch() {  # launch TOOL GPUS [ARGUMENTS...]
    local tool=$1 gpus=$2 threads=1 python
    shift 2
    if ! [[ $gpus =~ ^[1-9][0-9]*$ ]]; then
        fail "GPUS must be a positive number, got '$gpus'"
    fi
    python=$(find_python "$root")
    if ! nvidia-smi -L 2>/dev/null | grep -q GPU; then
        threads=$(($(nproc) / gpus))
    fi
    export OMP_NUM_THREADS=${OMP_NUM_THREADS:-$((threads > 0 ? threads : 1))}
    PYTHONPATH="$root${PYTHONPATH:+:$PYTHONPATH}" \
        exec "$python" -m torch.distributed.run \
        --nnodes="${NNODES:-1}" \
        --node_rank="${NODE_RANK:-0}" \
        --master_addr="${MASTER_ADDR:-127.0.0.1}" \
        --master_port="${PORT:-29500}" \
        --nproc_per_node="$gpus" \
        "$root/tools/$tool" "$@" --launcher pytorch
}
