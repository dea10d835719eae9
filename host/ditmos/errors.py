"""The one exception for everything a user can put right."""


class DitmosError(Exception):
    """Bad input or a missing tool: the message names the thing, the value and what was expected.

    The command line prints the message on one line and exits with code 2; no traceback.
    """
