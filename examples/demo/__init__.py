"""The demos: nuclei from an ImageNet network, and digits from scratch."""

from examples.demo.digits import CONFIG_NAME, Demo, run_demo
from examples.demo.nuclei import NucleiDemo, run_nuclei

__all__ = ['CONFIG_NAME', 'Demo', 'NucleiDemo', 'run_demo', 'run_nuclei']
