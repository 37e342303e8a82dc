"""The `longtail` command: one module for each subcommand.

Nothing heavy is imported until a subcommand runs, so that every help text answers at once.
"""
