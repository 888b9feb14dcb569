"""The kernels themselves."""
