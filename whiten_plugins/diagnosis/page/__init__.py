"""The diagnosis as one page for a browser, readable without a network."""

from .render import render

__all__ = ['render']
