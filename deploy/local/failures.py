"""What the operator is told when something cannot be done, and the exit code that goes with it."""


class Failure(Exception):
    """A problem the operator can act on: the message says what is wrong and what to do."""

    exit_code = 1


class AlreadyRunning(Failure):
    """Another supervisor holds the state folder."""

    exit_code = 3


class NotRunning(Failure):
    """No supervisor holds the state folder."""

    exit_code = 3
