"""A real Firefox without a driver: the WebDriver BiDi protocol over a web socket (--remote-debugging-port)."""

from __future__ import annotations

import base64
import json
import os
import shutil
import socket
import struct
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from types import TracebackType
from typing import Any, Self

NAMES = ("firefox", "firefox-esr")
PATH = next((found for name in NAMES if (found := shutil.which(name))), None)
REASON = "no Firefox on this machine: apt-get install firefox-esr"
AVAILABLE = PATH is not None and sys.platform != "win32"

TEXT, CLOSE, PING, PONG = 1, 8, 9, 10  # opcodes of RFC 6455, section 5.2
EVENTS = ["log.entryAdded", "network.beforeRequestSent", "network.fetchError"]
QUIET = {  # preferences: Firefox asks nothing of the network on its own
    "app.normandy.enabled": False,
    "browser.shell.checkDefaultBrowser": False,
    "browser.startup.page": 0,
    "datareporting.policy.dataSubmissionEnabled": False,
    "network.captive-portal-service.enabled": False,
    "network.connectivity-service.enabled": False,
    "toolkit.telemetry.enabled": False,
}


class WebSocket:
    """The client's side of RFC 6455 for text messages on this machine."""

    def __init__(self, port: int, path: str, timeout: float = 30) -> None:
        self.socket = socket.create_connection(("127.0.0.1", port), timeout)
        key = base64.b64encode(os.urandom(16)).decode()
        lines = [f"GET {path} HTTP/1.1", f"Host: 127.0.0.1:{port}", "Upgrade: websocket", "Connection: Upgrade"]
        lines += [f"Sec-WebSocket-Key: {key}", "Sec-WebSocket-Version: 13", "", ""]
        self.socket.sendall("\r\n".join(lines).encode())
        self.stream = self.socket.makefile("rb")
        status = self.stream.readline()
        while self.stream.readline().strip():
            pass
        if b" 101 " not in status:
            raise RuntimeError(f"Firefox refuses the web socket: {status!r}")

    def send(self, data: bytes, opcode: int = TEXT) -> None:
        size, mask = len(data), os.urandom(4)
        head = bytes([0x80 | opcode])
        if size < 126:
            head += bytes([0x80 | size])
        else:
            head += struct.pack("!BH", 0x80 | 126, size) if size < 1 << 16 else struct.pack("!BQ", 0x80 | 127, size)
        self.socket.sendall(head + mask + bytes(byte ^ mask[i % 4] for i, byte in enumerate(data)))

    def receive(self) -> bytes:
        """The next text message, its fragments joined."""
        message = b""
        while True:
            first, size = self._exactly(2)
            size &= 0x7F
            if size == 126:
                (size,) = struct.unpack("!H", self._exactly(2))
            elif size == 127:
                (size,) = struct.unpack("!Q", self._exactly(8))
            data, opcode = self._exactly(size), first & 0x0F
            if opcode == CLOSE:
                raise RuntimeError("Firefox has closed the web socket")
            if opcode == PING:
                self.send(data, PONG)
            elif opcode != PONG:
                message += data
                if first & 0x80:
                    return message

    def _exactly(self, size: int) -> bytes:
        data = self.stream.read(size)
        if len(data) < size:
            raise RuntimeError("Firefox has ended")
        return data

    def close(self) -> None:
        self.stream.close()
        self.socket.close()


class Firefox:
    """One page. `problems` collects console errors, warnings, uncaught exceptions and failed requests."""

    def __init__(self) -> None:
        assert PATH
        self.problems: list[str] = []
        self.requests: list[str] = []
        self._count = 0
        self.profile = tempfile.TemporaryDirectory(ignore_cleanup_errors=True)
        preferences = [f"user_pref({json.dumps(name)}, {json.dumps(value)});" for name, value in QUIET.items()]
        Path(self.profile.name, "user.js").write_text("\n".join(preferences))
        flags = ["--headless", "--no-remote", "--remote-debugging-port", "0", "--profile", self.profile.name]
        self.process = subprocess.Popen(
            [PATH, *flags, "about:blank"],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            env=os.environ | {"HOME": self.profile.name},
        )
        self.socket: WebSocket | None = None
        try:
            self.socket = WebSocket(self._port(), "/session")
            self.version = self.send("session.new", capabilities={})["capabilities"]["browserVersion"]
            self.page = self.send("browsingContext.getTree")["contexts"][0]["context"]
            self.send("session.subscribe", events=EVENTS, contexts=[self.page])
        except BaseException:
            self.close()
            raise

    def _port(self, seconds: float = 30) -> int:
        """The port that Firefox writes into its profile as soon as it listens."""
        file, end = Path(self.profile.name, "WebDriverBiDiServer.json"), time.monotonic() + seconds
        while time.monotonic() < end and self.process.poll() is None:
            try:
                return int(json.loads(file.read_text())["ws_port"])
            except (FileNotFoundError, json.JSONDecodeError):
                time.sleep(0.05)
        raise TimeoutError("Firefox opened no port")

    def send(self, method: str, **params: Any) -> dict[str, Any]:
        assert self.socket
        self._count += 1
        self.socket.send(json.dumps({"id": self._count, "method": method, "params": params}).encode())
        while True:
            reply = json.loads(self.socket.receive())
            if reply["type"] == "event":
                self._note(reply["method"], reply["params"])
            elif reply["id"] == self._count:
                if reply["type"] == "error":
                    raise RuntimeError(f"{method}: {reply['error']}: {reply['message']}")
                return dict(reply["result"])

    def _note(self, event: str, params: dict[str, Any]) -> None:
        if event == "log.entryAdded" and params["level"] in ("error", "warn"):
            self.problems.append(str(params["text"]))
        elif event == "network.beforeRequestSent":
            self.requests.append(params["request"]["url"])
        elif event == "network.fetchError":
            self.problems.append(f"{params['request']['url']}: {params['errorText']}")

    def open(self, path: Path) -> None:
        self.send("browsingContext.navigate", context=self.page, url=path.resolve().as_uri(), wait="complete")

    def js(self, expression: str) -> Any:
        """The value of a JavaScript expression in the page as JSON gives it, promises awaited."""
        reply = self.send(
            "script.evaluate",
            expression=f"(async () => JSON.stringify(await ({expression})))()",
            target={"context": self.page},
            awaitPromise=True,
        )
        if reply["type"] == "exception":
            raise RuntimeError(reply["exceptionDetails"]["text"])
        return json.loads(reply["result"].get("value", "null"))

    def keys(self, *actions: tuple[str, str]) -> None:
        """Presses and releases: ("keyDown" or "keyUp", the key as WebDriver writes it)."""
        steps = [{"type": kind, "value": key} for kind, key in actions]
        keyboard = {"type": "key", "id": "keyboard", "actions": steps}
        self.send("input.performActions", context=self.page, actions=[keyboard])

    def settle(self, until: Callable[[], bool] = lambda: False, seconds: float = 0.5) -> None:
        """Reads events, which may follow the reply that they belong to, for `seconds` or until `until()`."""
        end = time.monotonic() + seconds
        while not until() and time.monotonic() < end:
            self.js("new Promise(done => setTimeout(done, 50, 0))")

    def until(self, expression: str, value: Any, seconds: float = 10) -> Any:
        """The value of `expression` as soon as it equals `value`, or its last value after `seconds`."""
        end = time.monotonic() + seconds
        while (found := self.js(expression)) != value and time.monotonic() < end:
            time.sleep(0.05)
        return found

    def close(self) -> None:
        if self.socket:
            self.socket.close()
        self.process.terminate()
        try:
            self.process.wait(10)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
        self.profile.cleanup()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()
