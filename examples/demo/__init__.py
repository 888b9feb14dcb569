"""The demo: from nothing to a trained Mask R-CNN and its ratios."""

from examples.demo.run import CONFIG_NAME, Demo, run_demo

__all__ = ['CONFIG_NAME', 'Demo', 'run_demo']
