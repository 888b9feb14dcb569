"""Settings of the whole suite."""

import os

# Tensors are small here: threads would wait for each other, above all where
# other work shares the cores. Set before torch is imported, for subprocesses
# too.
os.environ.setdefault('OMP_NUM_THREADS', '1')
# Where a test asks for more, threads that wait asleep leave the cores to
# others.
os.environ.setdefault('OMP_WAIT_POLICY', 'PASSIVE')

from hypothesis import settings

# The same examples in every run, however slow the machine is.
settings.register_profile(
    'suite', deadline=None, derandomize=True, max_examples=20, database=None
)
settings.load_profile('suite')
