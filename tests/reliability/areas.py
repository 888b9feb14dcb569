"""The sections of the page: the test module of each, its title and text."""

AREAS = {
    'kernel_cache': (
        'The cache of the C++ kernels',
        """
The kernels are compiled at first use and kept in
`$XDG_CACHE_HOME/whiten_plugins/kernels`, under a name that changes with the
source, the compiler and the processor. The library carries a SHA-256 digest
of itself, and a lock file beside it (`flock`) lets one process compile. The
system takes the lock from a process that ends in whatever way.
""",
    ),
    'writers': (
        'Killed, full and read-only: what writes files',
        """
Every command writes its files under other names in a folder `.writing-…`
beside their own, and moves them when all are complete. A kill leaves the old
files or the new ones, each whole; between the moves of files that belong
together, such as a folded checkpoint and its config, some may be new and some
old. What is temporary then stays until the next run beside it, which knows by
its lock that nobody uses it.

The write points are found by interposing: a C library counts the calls that
change what is on the disk (`faults.c`, `LD_PRELOAD`), and the fault is put at
each in turn.
""",
    ),
    'agreement': (
        'Numbers: every backend against the reference',
        """
A random norm on a random input (type, statistics, groups, ties, hard choices,
eps, Newton steps; shape, dtype, strides; training and evaluation one after
another) is computed by a backend and by the papers' equations in float64
(`tests/reference.py`): output, all gradients and running statistics. What
rounding may do is measured at the same time: the reference is computed again
with input, gradient and moments moved by the rounding of the dtype, and the
norm may be 32 times as far off, or 1e-5 (float64: 1e-10) of the largest
value. A failure is named by a number that draws it again.
""",
    ),
    'determinism': (
        'The same seed',
        """
On a CPU every sum has a fixed order for a number of threads, so that the same
seed, data and number of threads give the same training, bit by bit. Other
numbers of threads add in another order. What such differences become in a
long training is the network's affair: whitening in many layers one after
another makes them large within a few steps, as it does with any rounding.
""",
    ),
    'sanitizers': (
        'The C++ kernels under sanitizers',
        """
`make test-sanitizers` compiles them with those of the compiler, which stop at
the first access outside a tensor, the first undefined operation, the first
race. The thread sanitizer does not see how OpenMP's threads wait for each
other, so it watches threads of Python, each with one thread of OpenMP.
""",
    ),
    'processes': (
        'Forks, workers, threads, signals',
        """
The threads of OpenMP do not survive a fork: a child that asks for them waits
forever, with torch alone as well as with the kernels here. Once kernels have
been loaded, a forked process therefore starts with one thread
(`torch.set_num_threads(1)`), as the workers of a data loader do anyway. Who
raises that number in a fork hangs, as in plain torch: spawn instead.
""",
    ),
    'resuming': (
        'Killed trainings and their resume',
        """
mmengine's checkpoints store a seed and no state of the random generators, so
that a resumed training draws other numbers than one that was never
interrupted. `RandomStateHook` stores the states of Python, NumPy and torch
for every process and restores them:

```python
custom_hooks = [dict(type='RandomStateHook')]
```

A kill while mmengine saves leaves a checkpoint that is cut off, or an empty
`last_checkpoint`; `whiten train --resume` then goes on from the latest one
that is whole, and says so. mmengine removes the oldest checkpoint before it
writes the next: with `max_keep_ckpts=1` a kill between the two leaves none,
so keep two. Gradients that are being accumulated are in no checkpoint: save
at a multiple of `accumulative_counts`.
""",
    ),
    'hostile_files': (
        'Files from strangers',
        """
Checkpoints are read weights-only, by torch's own restricted unpickler and a
list of the classes that mmengine's training checkpoints need. Before that an
archive that is compressed is refused, for torch does not compress, and after
it any tensor that has fewer values than elements, or names that are not
text. Configs in checkpoints are parsed as literals and never executed. ONNX
files are written here, and read only to compare what was just written.

What is not bounded: the time that torch's unpickler takes (a dictionary key
of tuples nested into each other takes forever to hash), and the size of a
file that is as large as it says. `--trust-pickle` executes what the file says.
""",
    ),
}
