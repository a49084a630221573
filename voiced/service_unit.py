"""The unit of voiced as a systemd user service.

Pure, but for the paths of this machine. The first line holds a digest of the rest, so that a unit that somebody changed
is told from one that an earlier version wrote.
"""

import hashlib
import shutil
import sys
from collections.abc import Sequence
from pathlib import Path

import platformdirs

NAME = "voiced.service"
_DIGEST = "# Written by 'voiced install-service'; "

# `systemd-analyze security` (252) rates it 2.0 of 10, a bare unit 9.8. What would lower that breaks something:
# MemoryDenyWriteExecute the callbacks of the sound library; PrivateDevices, DeviceAllow and ProtectClock, which implies the
# one before it, sound and graphics cards; PrivateNetwork talking to programs on this
# machine; ProcSubset=pid knowing how much memory there is.
_UNIT = """\
[Unit]
Description=voiced, a speech assistant
After=pipewire.service wireplumber.service pulseaudio.service
# Five failed starts within two minutes are given up.
StartLimitIntervalSec=120
StartLimitBurst=5

[Service]
Type=notify
NotifyAccess=main
ExecStart={command}
ExecReload=/bin/kill -HUP $MAINPID
Restart=on-failure
RestartSec=2
# 'voiced' reads no further when its options or its configuration are wrong.
RestartPreventExitStatus=2
# Weights may have to be read from a slow disk.
TimeoutStartSec=300
# The reply that sounds may end; the engine is killed only when that takes longer.
TimeoutStopSec=35
KillMode=mixed
WatchdogSec=30

# Nothing is sent anywhere, and nothing written but here.
Environment=HF_HUB_OFFLINE=1
UMask=0077
LimitCORE=0
ProtectSystem=strict
ProtectHome=read-only
ReadWritePaths={writable}
RuntimeDirectory=voiced
RuntimeDirectoryMode=0700
PrivateTmp=yes
PrivateMounts=yes
PrivateUsers=yes
NoNewPrivileges=yes
CapabilityBoundingSet=
AmbientCapabilities=
KeyringMode=private
LockPersonality=yes
ProtectControlGroups=yes
ProtectHostname=yes
ProtectKernelLogs=yes
ProtectKernelModules=yes
ProtectKernelTunables=yes
ProtectProc=invisible
ProcSubset=all
RestrictAddressFamilies=AF_UNIX AF_INET AF_INET6 AF_NETLINK
RestrictNamespaces=yes
RestrictRealtime=yes
IPAddressDeny=any
IPAddressAllow=localhost
RestrictSUIDSGID=yes
RemoveIPC=yes
SystemCallArchitectures=native
SystemCallFilter=@system-service
SystemCallFilter=~@privileged @obsolete
# Not killed: libraries ask for more than they need, and take a no.
SystemCallErrorNumber=EPERM

[Install]
WantedBy=default.target
"""


def unit_folder() -> Path:
    """Return where a user's units lie (XDG_CONFIG_HOME)."""
    return platformdirs.user_config_path("systemd") / "user"


def own_command() -> list[str]:
    """Return the command that starts the live assistant, by absolute paths."""
    beside = Path(sys.executable).parent / "voiced"
    found = str(beside) if beside.is_file() else shutil.which("voiced")
    if found is not None:
        return [str(Path(found).absolute()), "run"]
    return [sys.executable, "-m", "voiced.cli.main", "run"]


def own_folders(record: Path | None) -> list[Path]:
    """Return the folders that the service writes to, that of recordings included."""
    folders = [
        platformdirs.user_cache_path("voiced"),
        platformdirs.user_data_path("voiced"),
        platformdirs.user_state_path("voiced"),
    ]
    return folders if record is None else [*folders, record.absolute()]


def unit_text(command: Sequence[str], writable: Sequence[Path]) -> str:
    """Return the unit that runs `command` and may write to these folders."""
    body = _UNIT.format(
        command=" ".join(_quoted(part.replace("$", "$$")) for part in command),
        writable=" ".join(_quoted(str(folder)) for folder in writable),
    )
    return f"{_DIGEST}{_digest(body)}\n{body}"


def is_as_written(text: str) -> bool:
    """Tell whether this unit is as a version of voiced wrote it."""
    first, _, body = text.partition("\n")
    return first == f"{_DIGEST}{_digest(body)}"


def _digest(body: str) -> str:
    return hashlib.sha256(body.encode()).hexdigest()[:16]


def _quoted(part: str) -> str:
    """Return a path as units have it: `%`, quotes and spaces mean something there."""
    escaped = part.replace("\\", "\\\\").replace('"', '\\"').replace("%", "%%")
    return f'"{escaped}"' if any(one in part for one in " \t\"'\\;") else escaped
