"""Student networks for molecular dynamics: their potential files, and what makes, reads and tests them."""

__version__ = "0.1.0"
