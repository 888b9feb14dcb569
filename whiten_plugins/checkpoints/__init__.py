"""Checkpoints: reading, writing, hardening, conversion."""

from .reading import CheckpointError, load_checkpoint

__all__ = ['CheckpointError', 'load_checkpoint']
