"""A small S3 server in memory that counts requests: for figures of sources far larger than a test could make.

It knows what shoplake asks for: objects by key and by range, conditional writes, and listings of a thousand keys. What a
real server does, the tests on SeaweedFS and on AWS's emulator show; this one holds a million keys in a second.
"""

from __future__ import annotations

import hashlib
import re
import threading
import urllib.parse
from bisect import bisect_left, bisect_right, insort
from collections import Counter
from collections.abc import Iterable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from xml.sax.saxutils import escape

_TIME = "2025-11-18T00:00:00.000Z"
_HTTP_TIME = "Tue, 18 Nov 2025 00:00:00 GMT"


class Counted:
    """The server; ``seen`` counts requests by kind: LIST, GET, HEAD, PUT, DELETE."""

    def __init__(self, page: int = 1000) -> None:
        """Start it.

        Args:
            page: Keys of one answer to a listing.
        """
        self.page = page
        self.seen: Counter[str] = Counter()
        self._lock = threading.Lock()
        self._keys: list[str] = []
        self._objects: dict[str, bytes] = {}
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), type("Handler", (_Handler,), {"counted": self}))
        self._server.daemon_threads = True
        self.url = f"http://127.0.0.1:{self._server.server_address[1]}"
        threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True).start()

    def close(self) -> None:
        """Stop it, and forget everything."""
        self._server.shutdown()
        self._server.server_close()

    def fill(self, keys: Iterable[str], content: bytes) -> None:
        """Objects of the same content, by bucket and key; much faster than writing each."""
        self._objects.update(dict.fromkeys(keys, content))
        self._keys = sorted(self._objects)

    def get(self, key: str) -> bytes | None:
        """An object's bytes."""
        return self._objects.get(key)

    def put(self, key: str, content: bytes, if_match: str | None, *, absent: bool) -> bool:
        """Write an object, if the conditions hold."""
        with self._lock:
            stored = self._objects.get(key)
            if (absent and stored is not None) or (if_match and (stored is None or tag(stored) != if_match)):
                return False
            if stored is None:
                insort(self._keys, key)
            self._objects[key] = content
            return True

    def delete(self, keys: Iterable[str]) -> None:
        """Delete objects."""
        with self._lock:
            for key in keys:
                if self._objects.pop(key, None) is not None:
                    del self._keys[bisect_left(self._keys, key)]

    def list(self, prefix: str, after: str) -> tuple[list[tuple[str, bytes]], bool]:
        """A page of the objects below a prefix, and whether there are more."""
        with self._lock:
            first = max(bisect_left(self._keys, prefix), bisect_right(self._keys, after))
            found = [key for key in self._keys[first : first + self.page + 1] if key.startswith(prefix)]
            return [(key, self._objects[key]) for key in found[: self.page]], len(found) > self.page


def tag(content: bytes) -> str:
    """The ETag of some bytes."""
    return f'"{hashlib.blake2b(content, digest_size=16).hexdigest()}"'


class _Handler(BaseHTTPRequestHandler):
    counted: Counted
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    wbufsize = -1  # an answer is one packet

    def log_message(self, *_: Any) -> None:
        return

    def do_GET(self) -> None:
        path, query = self._target()
        if "list-type" in query:
            self._list(path, query)
            return
        content = self.counted.get(path)
        headers = self.headers
        if content is not None and headers.get("if-match") not in (None, tag(content)):
            self._answer("GET", 412)
        elif content is None:
            self._answer("GET", 404, _error("NoSuchKey"))
        elif found := re.fullmatch(r"bytes=(\d+)-(\d+)", headers.get("range") or ""):
            first, last = int(found[1]), min(int(found[2]), len(content) - 1)
            more = {"Content-Range": f"bytes {first}-{last}/{len(content)}"}
            self._answer("GET", 206, content[first : last + 1], _about(content) | more)
        else:
            self._answer("GET", 200, content, _about(content))

    def do_HEAD(self) -> None:
        content = self.counted.get(self._target()[0])
        self.counted.seen["HEAD"] += 1
        self.send_response_only(404 if content is None else 200)
        for name, value in _about(content or b"").items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(content or b"")))
        self.end_headers()
        self.wfile.flush()

    def do_PUT(self) -> None:
        body = self._body()
        absent = self.headers.get("if-none-match") == "*"
        done = self.counted.put(self._target()[0], body, self.headers.get("if-match"), absent=absent)
        self._answer("PUT", 200 if done else 412, b"", {"ETag": tag(body)})

    def do_POST(self) -> None:
        bucket = self._target()[0].partition("/")[0]
        keys = re.findall(r"<Key>(.*?)</Key>", self._body().decode())
        self.counted.delete(f"{bucket}/{key}" for key in keys)
        deleted = "".join(f"<Deleted><Key>{key}</Key></Deleted>" for key in keys)
        self._answer("DELETE", 200, f"<DeleteResult>{deleted}</DeleteResult>".encode())

    def do_DELETE(self) -> None:
        self.counted.delete([self._target()[0]])
        self._answer("DELETE", 204)

    def _list(self, bucket: str, query: dict[str, str]) -> None:
        root = f"{bucket.rstrip('/')}/"
        after = query.get("continuation-token") or query.get("start-after") or ""
        found, more = self.counted.list(root + query.get("prefix", ""), after and root + after)
        contents = "".join(
            f"<Contents><Key>{escape(key.removeprefix(root))}</Key><LastModified>{_TIME}</LastModified>"
            f"<ETag>{escape(tag(content))}</ETag><Size>{len(content)}</Size></Contents>"
            for key, content in found
        )
        rest = (
            f"<NextContinuationToken>{escape(found[-1][0].removeprefix(root))}</NextContinuationToken>" if more else ""
        )
        cut = f"<IsTruncated>{str(more).lower()}</IsTruncated>"
        self._answer("LIST", 200, f"<ListBucketResult>{cut}{rest}{contents}</ListBucketResult>".encode())

    def _target(self) -> tuple[str, dict[str, str]]:
        path, _, query = self.path.partition("?")
        return urllib.parse.unquote(path).removeprefix("/"), dict(urllib.parse.parse_qsl(query, keep_blank_values=True))

    def _body(self) -> bytes:
        return self.rfile.read(int(self.headers.get("content-length") or 0))

    def _answer(self, kind: str, status: int, content: bytes = b"", headers: dict[str, str] | None = None) -> None:
        self.counted.seen[kind] += 1
        self.send_response_only(status)
        for name, value in (headers or {}).items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)
        self.wfile.flush()


def _about(content: bytes) -> dict[str, str]:
    return {"ETag": tag(content), "Last-Modified": _HTTP_TIME}


def _error(code: str) -> bytes:
    return f"<Error><Code>{code}</Code></Error>".encode()
