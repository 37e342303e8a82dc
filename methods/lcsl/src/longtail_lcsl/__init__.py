"""LCSL: long-tailed classification via self-labelling (Vu et al., IEEE TCSVT 2024, DOI 10.1109/TCSVT.2024.3421942)."""

__version__ = "0.1.0"
