"""Plots. matplotlib comes with the extra `report` and is imported only when a plot is drawn."""
