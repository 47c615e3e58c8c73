"""Waiting for something to become true, with a deadline, instead of sleeping and hoping."""
import time

from .client import NotSent, Unknown

_PAUSE_SECONDS = 0.02


class Deadline:
    def __init__(self, seconds):
        self._end = time.monotonic() + seconds

    @property
    def left(self):
        return max(0.0, self._end - time.monotonic())

    @property
    def passed(self):
        return self.left == 0.0


def eventually(probe, what, seconds=20.0, pause=_PAUSE_SECONDS):
    """Calls `probe` until it answers something true, and answers that. AssertionError naming `what` (text, or a function that
    makes it) and the last answer when `seconds` have passed. A failed assertion or request of the probe counts as "not yet" and is named too."""
    deadline = Deadline(seconds)
    while True:
        try:
            last = probe()
            if last:
                return last
        except (NotSent, Unknown, ConnectionError, AssertionError, LookupError, ValueError) as error:
            last = error
        if deadline.passed:
            raise AssertionError(f"not within {seconds:g} s: {what() if callable(what) else what}; last seen: {last!r}")
        time.sleep(pause)
