"""Patterns as layers, at the place where einops has those for PyTorch: `einops.layers.torch`."""
