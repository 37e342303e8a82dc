"""The training loop and what surrounds it: recipes, schedules, the run folder, the options that all scripts share.

This package imports nothing; import its modules. `runtime`, `options`, `commands`, `method` and `erm` stay free of torch, so
that `--help` answers at once.
"""
