"""What a config that cannot work raises."""


class ConfigError(ValueError):
    """A config or a command line that cannot work, in one line."""
