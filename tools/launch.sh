# Sourced by dist_launch.sh and slurm_launch.sh: where the project is, and a
# Python that can run it.

fail() {  # fail MESSAGE
    echo "$(basename "$0"): error: $1" >&2
    exit 2
}

has_torch() {  # has_torch PYTHON
    "$1" -c 'import importlib.util, sys
sys.exit(importlib.util.find_spec("torch") is None)' 2>/dev/null
}

# Print the Python of the shell or, where that has no torch, the project's.
find_python() {  # find_python ROOT
    local python candidates=(python python3 "$1/.venv/bin/python")
    if [[ ${PYTHON:-} ]]; then
        candidates=("$PYTHON")
    fi
    for python in "${candidates[@]}"; do
        if has_torch "$python"; then
            echo "$python"
            return
        fi
    done
    fail "${PYTHON:-no Python here} has no torch: activate an environment \
that has (source $1/.venv/bin/activate), or make it with make env"
}

# Threads that wait asleep leave the cores to others; torch reads it early.
export OMP_WAIT_POLICY=${OMP_WAIT_POLICY:-PASSIVE}
root=$(CDPATH='' cd -- "$(dirname "$(readlink -f "${BASH_SOURCE[0]}")")/.." \
    && pwd -P)
