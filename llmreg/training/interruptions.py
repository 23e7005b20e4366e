"""Ctrl-C and SIGTERM during a fit that leaves checkpoints: they wait for the end of the step."""

import signal
import threading

__all__ = ["HeldSignals"]


class HeldSignals:
    """Within this context SIGINT and SIGTERM wait until :meth:`deliver`.

    Between two steps all that training holds is of a piece, and can be saved. A second signal does
    not wait. Signals that are ignored stay ignored, and outside of the main thread, which alone
    gets signals, nothing is changed.

    Parameters
    ----------
    hold : bool
        False: signals act as ever.
    """

    def __init__(self, hold):
        self.hold = hold
        self.pending = None
        self.before = {}

    def __enter__(self):
        if self.hold and threading.current_thread() is threading.main_thread():
            for number in (signal.SIGINT, signal.SIGTERM):
                handler = signal.getsignal(number)
                if handler not in (None, signal.SIG_IGN):  # None: of another language's making
                    self.before[number] = handler
                    signal.signal(number, self._take)
        return self

    def __exit__(self, *error):
        for number, handler in self.before.items():
            signal.signal(number, handler)
        self.deliver()

    def deliver(self):
        """Let a signal that waits act as it would have: raise, end the process or call a handler.

        Returns if nothing waits, or if the handler does.
        """
        if self.pending is not None:
            number, self.pending = self.pending, None
            self._act(number, None)

    def _take(self, number, frame):
        if self.pending is None:
            self.pending = number
        else:
            self.pending = None
            self._act(number, frame)

    def _act(self, number, frame):
        handler = self.before[number]
        if callable(handler):
            handler(number, frame)
        else:  # the system's: the end of the process
            signal.signal(number, handler)
            signal.raise_signal(number)
