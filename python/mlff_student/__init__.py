"""Student networks for molecular dynamics: potential files, and what makes and tests them."""

__version__ = "0.1.0"
