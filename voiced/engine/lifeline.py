"""A child process that does not outlive its parent. Imports nothing heavy, so that it holds from the first moment on."""

import ctypes
import os
import signal
import sys

PR_SET_PDEATHSIG = 1  # Source: linux/prctl.h


def die_with(parent: int) -> None:
    """See that this process is killed when its parent dies, also while it is loading or hangs; Linux alone knows how.

    Elsewhere it ends at the next step at which it finds its socket closed.
    """
    if sys.platform != "linux":
        return
    ctypes.CDLL(None, use_errno=True).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != parent:  # It died before we asked.
        sys.exit(1)
