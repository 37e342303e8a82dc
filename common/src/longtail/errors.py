"""Errors that a user can mend."""


class UserError(ValueError):
    """A mistake of the caller: what is wrong, where, and what to do, in one or two lines.

    Commands print the message without a traceback and leave with exit code 2; to Python callers it is a `ValueError`.
    Anything else that escapes a command is a bug and keeps its traceback.
    """
