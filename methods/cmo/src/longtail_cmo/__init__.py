"""CMO: context-rich minority oversampling (Park et al., CVPR 2022, arXiv 2112.00412)."""

__version__ = "0.1.0"
