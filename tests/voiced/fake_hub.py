"""A small hub on the loopback: the two requests that `voiced pull` makes, and ways to answer them badly."""

import hashlib
import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

REVISION = "0123456789abcdef0123456789abcdef01234567"


class FakeHub(ThreadingHTTPServer):
    """Serves `files` as one repository, and counts what it is asked.

    Attributes:
        files: content by name; those of 1000 bytes or more are told with SHA-256, as git-lfs files are.
        damaged: content to send instead, with the right content's size and digest told.
        cut_after: close the connection after so many bytes of the next answers; one entry an answer.
        ignores_range: answer 200 with everything when a range is asked for.
        failures: status codes to answer the next requests for files with.
        asked: every request for a file: its name and its Range header.
    """

    daemon_threads = True

    def __init__(self, repository: str, files: dict[str, bytes]) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.repository, self.files, self.revision = repository, files, REVISION
        self.damaged: dict[str, bytes] = {}
        self.cut_after: list[int] = []
        self.ignores_range = False
        self.failures: list[int] = []
        self.asked: list[tuple[str, str | None]] = []

    @property
    def url(self) -> str:
        """What HF_ENDPOINT is set to."""
        return f"http://127.0.0.1:{self.server_port}"

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Say nothing when a client went away: some tests do."""

    def describe(self) -> dict[str, Any]:
        """The answer about the repository, with the metadata of its files."""
        siblings: list[dict[str, Any]] = []
        for name, content in self.files.items():
            git_id = hashlib.sha1(b"blob %d\0" % len(content) + content).hexdigest()
            sibling = {"rfilename": name, "size": len(content), "blobId": git_id}
            if len(content) >= 1000:
                digest = hashlib.sha256(content).hexdigest()
                sibling["lfs"] = {"sha256": digest, "size": len(content), "pointerSize": 134}
            siblings.append(sibling)
        return {"id": self.repository, "sha": self.revision, "siblings": siblings, "tags": []}


class _Handler(BaseHTTPRequestHandler):
    server: FakeHub
    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        path = self.path.partition("?")[0]
        hub = self.server
        if path.startswith(f"/api/models/{hub.repository}"):
            self._answer(200, json.dumps(hub.describe()).encode())
            return
        prefix = f"/{hub.repository}/resolve/{hub.revision}/"
        if not path.startswith(prefix):
            self.send_response(404)
            self.send_header("X-Error-Code", "RepoNotFound")
            self.send_header("Content-Length", "0")
            self.end_headers()
            return
        name = path.removeprefix(prefix)
        asked_range = self.headers["Range"]
        hub.asked.append((name, asked_range))
        if hub.failures:
            self._answer(hub.failures.pop(0), b"")
            return
        content = hub.damaged.get(name, hub.files[name])
        if asked_range is None or hub.ignores_range:
            self._answer(200, content)
            return
        start = int(asked_range.removeprefix("bytes=").removesuffix("-"))
        if start >= len(content):
            self._answer(416, b"")
        else:
            self._answer(206, content[start:])

    def _answer(self, status: int, content: bytes) -> None:
        self.send_response(status)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        if status in (200, 206) and "/resolve/" in self.path and self.server.cut_after:
            self.wfile.write(content[: self.server.cut_after.pop(0)])
            self.close_connection = True
            return
        self.wfile.write(content)

    def log_message(self, *_: object) -> None:
        """Say nothing: the tests look at `asked`."""


@contextmanager
def running_hub(repository: str, files: dict[str, bytes]) -> Iterator[FakeHub]:
    """Serve until the block ends."""
    hub = FakeHub(repository, files)
    thread = threading.Thread(target=hub.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
    thread.start()
    try:
        yield hub
    finally:
        hub.shutdown()
        hub.server_close()
        thread.join()
