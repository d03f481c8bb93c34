"""Exchanges JSON lines with a program through its standard input and output.

No behaviour of the program makes a caller wait longer than its timeout.
"""

from __future__ import annotations

import contextlib
import json
import os
import queue
import signal
import subprocess
import threading
import time
from collections.abc import Mapping
from typing import IO, Any

_LONGEST_LINE = 16 * 2**20
_SHOWN = 160  # characters of what the program wrote
_GRACE_SECONDS = 2.0  # for a program that was killed, or has closed its output, to exit


class BrokenProgramError(Exception):
    """The program did not reply, so that its output can no longer be matched with requests; the message says why."""


class Program:
    """A running program.

    Args:
        command: The program and its arguments.

    Raises:
        BrokenProgramError: the program cannot be started.
    """

    def __init__(self, command: list[str]) -> None:
        pipe = subprocess.PIPE
        try:
            # In a process group of its own, so that its child processes are killed with it.
            self._process = subprocess.Popen(command, stdin=pipe, stdout=pipe, stderr=pipe, start_new_session=True)
        except (OSError, IndexError, ValueError) as error:
            raise BrokenProgramError(f"the program cannot be started: {error}") from None
        self._to_write: queue.SimpleQueue[bytes] = queue.SimpleQueue()
        self._lines: queue.Queue[bytes] = queue.Queue(16)  # bounded: a program that never stops writing has to wait
        self._last_error_line = b""
        self._is_over = False
        self._threads = [
            threading.Thread(target=work, args=(stream,), daemon=True)
            for work, stream in (
                (self._write, self._process.stdin),
                (self._read, self._process.stdout),
                (self._read_errors, self._process.stderr),
            )
        ]
        for thread in self._threads:
            thread.start()

    def _write(self, stream: IO[bytes]) -> None:
        with contextlib.suppress(OSError), stream:
            while line := self._to_write.get():
                stream.write(line)
                stream.flush()

    def _read(self, stream: IO[bytes]) -> None:
        with stream:
            while not self._is_over and (line := stream.readline(_LONGEST_LINE)):
                self._lines.put(line)
        if not self._is_over:
            self._lines.put(b"")

    def _read_errors(self, stream: IO[bytes]) -> None:
        with stream:
            while line := stream.readline(2**16):
                self._last_error_line = line.strip() or self._last_error_line

    def send(self, message: Mapping[str, Any]) -> None:
        """Send a message without waiting for a reply."""
        self._to_write.put(json.dumps(message, ensure_ascii=False, allow_nan=False).encode() + b"\n")

    def request(self, message: Mapping[str, Any], timeout: float) -> dict[str, Any]:
        """Send a message and return the reply.

        Raises:
            BrokenProgramError: there is none within `timeout` seconds, or it is not a JSON object.
        """
        self.send(message)
        try:
            line = self._lines.get(timeout=timeout)
        except queue.Empty:
            raise BrokenProgramError(self._with_stderr(f"no reply in {timeout:g} s")) from None
        if not line:
            raise BrokenProgramError(self._with_stderr(self._exit_reason()))
        if not line.endswith(b"\n"):
            raise BrokenProgramError(self._with_stderr(f"an incomplete line: {_shown(line)}"))
        try:
            reply = json.loads(line, parse_constant=_refuse)
        except (ValueError, RecursionError):
            raise BrokenProgramError(self._with_stderr(f"a line that is not JSON: {_shown(line)}")) from None
        if not isinstance(reply, dict):
            raise BrokenProgramError(self._with_stderr(f"a line that is not a JSON object: {_shown(line)}"))
        return reply

    def _exit_reason(self) -> str:
        self.wait(_GRACE_SECONDS)
        code = self._process.poll()
        if code is None:
            return "the program closed its output"
        return f"the program exited with code {code}" if code >= 0 else f"the program was killed by signal {-code}"

    def _with_stderr(self, reason: str) -> str:
        """Return the reason with the last line that the program wrote to its standard error."""
        time.sleep(0.05)  # for output that is still in the pipe
        last_line = self._last_error_line.decode(errors="replace")
        return f"{reason}; its last error output: {last_line[:_SHOWN]}" if last_line else reason

    def wait(self, timeout: float) -> None:
        """Wait at most `timeout` seconds for the program to exit."""
        with contextlib.suppress(subprocess.TimeoutExpired):
            self._process.wait(timeout)

    def kill(self) -> None:
        """Kill the program and its child processes."""
        self._is_over = True
        self._to_write.put(b"")
        with contextlib.suppress(ProcessLookupError, PermissionError):
            if hasattr(os, "killpg"):
                os.killpg(self._process.pid, signal.SIGKILL)
            else:
                self._process.kill()
        self.wait(_GRACE_SECONDS)
        last = time.monotonic() + _GRACE_SECONDS
        while any(thread.is_alive() for thread in self._threads) and time.monotonic() < last:
            with contextlib.suppress(queue.Empty):  # the reader may be waiting for room
                self._lines.get(timeout=0.01)


def _shown(line: bytes) -> str:
    shown = line[: 4 * _SHOWN].decode(errors="replace").rstrip("\n")
    return repr(shown if len(shown) <= _SHOWN else f"{shown[:_SHOWN]}…")


def _refuse(name: str) -> None:
    raise ValueError(name)
