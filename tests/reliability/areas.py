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
}
