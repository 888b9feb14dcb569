"""The demo: from nothing to a trained Mask R-CNN and its ratios."""

from .run import CONFIG_NAME, Demo, run_demo

__all__ = ['CONFIG_NAME', 'Demo', 'run_demo']
