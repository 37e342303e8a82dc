"""DPA-EI: dual progressive augmentation from explicit and implicit perspectives (Zhao et al., Knowledge-Based Systems 2025)."""

__version__ = "0.1.0"
