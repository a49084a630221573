"""A process of its own that loads one checkpoint and prints, as JSON, how long it took and what it weighed."""

import json
import re
import resource
import sys
import time
from pathlib import Path


def resident_bytes() -> int:
    """Return what of this process is in memory now."""
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * resource.getpagesize()


def peak_bytes() -> int:
    """Return the most that was ever in memory at once, of this program; ru_maxrss would tell of who started it, too."""
    status = Path("/proc/self/status").read_text()
    return 1024 * int(re.findall(r"VmHWM:\s+(\d+)", status)[0])


def main() -> None:
    """Load as the contestant named on the command line does."""
    name, folder, device = sys.argv[1], Path(sys.argv[2]), sys.argv[3]
    from benchmarks import contestants

    kind = {entry.name: entry for entry in (contestants.Voiced, contestants.LiquidAudio)}[name]
    if name == "voiced":
        import models.lfm2_audio  # noqa: F401 (imports are not part of loading)
    else:
        import liquid_audio  # noqa: F401
    before, start = resident_bytes(), time.perf_counter()
    kind(folder, device)
    seconds = time.perf_counter() - start
    print(json.dumps({"seconds": seconds, "before": before, "peak": peak_bytes()}))


if __name__ == "__main__":
    main()
