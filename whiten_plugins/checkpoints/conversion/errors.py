"""What every step of a conversion may raise."""

from ..reading import CheckpointError


class ConversionError(CheckpointError):
    """A checkpoint that cannot become what was asked for, in one line."""
