"""Settings of the whole suite."""

from hypothesis import settings

# The same examples in every run, however slow the machine is.
settings.register_profile(
    'suite', deadline=None, derandomize=True, max_examples=20, database=None
)
settings.load_profile('suite')
