"""The report as one page for a browser, readable without a network."""

from .page import render

__all__ = ['render']
