"""The terminal's screen, drawn by a thread of its own: a terminal that is slow or stopped never holds up the talk."""

import os
import threading
from collections import deque

from rich.console import Console, ConsoleDimensions, Group
from rich.live import Live

from voiced.face.drawing import View, draw_line, draw_region
from voiced.face.transcript import Line

# Between two drawings: as often as a level meter needs to look alive.
INTERVAL_S = 0.07
# Lines that wait for a terminal that does not take them. When it is full the oldest goes.
MOST_WAITING = 2000
# A terminal that takes nothing for so long is left as it is.
PATIENCE_S = 1.0


class Screen:
    """Draws what it was told last, and lines that stand above it; no method but `pause` and `stop` waits.

    Args:
        console: of the terminal.
        size_fd: file descriptor that knows the size of the window.
        interval_s: the least time between two drawings.
    """

    def __init__(self, console: Console, *, size_fd: int, interval_s: float = INTERVAL_S) -> None:
        self._console = console
        self._size_fd = size_fd
        self._interval_s = interval_s
        self._changed = threading.Condition()
        self._view = View()
        self._lines: deque[Line] = deque(maxlen=MOST_WAITING)
        self._is_dirty = True
        self._is_wanted = True  # The region is to be on the screen.
        self._is_shown = False  # It is, or will be at once.
        self._is_over = False
        self._thread = threading.Thread(target=self._draw_all, name="screen", daemon=True)
        self._thread.start()

    def show(self, view: View) -> None:
        """Draw this from now on."""
        with self._changed:
            if view != self._view:
                self._view, self._is_dirty = view, True
                self._changed.notify_all()

    def tell(self, *lines: Line) -> None:
        """Write lines that stand."""
        if not lines:
            return
        with self._changed:
            self._lines.extend(lines)
            self._is_dirty = True
            self._changed.notify_all()

    def redraw(self) -> None:
        """Draw once more: the window is another one."""
        with self._changed:
            self._is_dirty = True
            self._changed.notify_all()

    def pause(self) -> None:
        """Take the region off the screen and draw nothing; waits for the terminal, at most a second."""
        with self._changed:
            self._is_wanted = False
            self._changed.notify_all()
            self._changed.wait_for(lambda: not self._is_shown, PATIENCE_S)

    def resume(self) -> None:
        """Draw again after `pause`."""
        with self._changed:
            self._is_wanted = self._is_dirty = True
            self._changed.notify_all()

    def stop(self) -> bool:
        """Write the lines that wait, take the region off the screen and end; waits for the terminal, at most a second.

        Returns:
            Whether the terminal took it all; otherwise the thread still waits for it, with the console.
        """
        with self._changed:
            self._is_over = True
            self._changed.notify_all()
        self._thread.join(PATIENCE_S)
        return not self._thread.is_alive()

    # The thread

    def _draw_all(self) -> None:
        live: Live | None = None
        try:
            while True:
                view, lines, is_wanted, is_over = self._wait()
                self._measure()
                if is_wanted and live is None:
                    live = Live(
                        console=self._console,
                        auto_refresh=False,
                        transient=True,
                        redirect_stdout=False,
                        redirect_stderr=False,
                    )
                    live.start()
                if lines:
                    self._console.print(Group(*map(draw_line, lines)))
                if live is not None:
                    live.update(draw_region(view, self._console), refresh=True)
                if live is not None and (is_over or not is_wanted):
                    live.stop()
                    live = None
                    self._note_hidden()
                if is_over:
                    return
        except (OSError, ValueError):
            # The terminal is gone, and with it whoever could read what is wrong; its keys end, and so does the talk.
            self._note_hidden()

    def _wait(self) -> tuple[View, list[Line], bool, bool]:
        with self._changed:
            # What changes quickly is drawn together.
            self._changed.wait_for(lambda: self._is_over or not self._is_wanted, self._interval_s)
            self._changed.wait_for(
                lambda: (
                    self._is_over
                    or (self._is_dirty and self._is_wanted)
                    or (self._is_shown and not self._is_wanted)
                )
            )
            lines = list(self._lines)
            self._lines.clear()
            self._is_dirty = False
            self._is_shown = self._is_shown or self._is_wanted
            return self._view, lines, self._is_wanted, self._is_over

    def _note_hidden(self) -> None:
        with self._changed:
            self._is_shown = False
            self._changed.notify_all()

    def _measure(self) -> None:
        try:
            width, height = os.get_terminal_size(self._size_fd)
        except OSError:
            width = height = 0
        self._console.size = ConsoleDimensions(width or 80, height or 24)
