"""A program at the other end of two pipes: one JSON object goes in on a line, one comes out.

Nothing that the program does, or fails to do, makes the caller wait longer than was said.
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
_PATIENCE = 2.0  # seconds for a program that was killed, or has closed its output, to be gone


class BrokenProgramError(Exception):
    """The program did not answer, and what it says next cannot be told from an answer; the text says how."""


class Program:
    """A running program.

    Args:
        command: The program and its arguments.

    Raises:
        BrokenProgramError: there is no such program.
    """

    def __init__(self, command: list[str]) -> None:
        pipe = subprocess.PIPE
        try:
            # A group of its own, so that what the program started ends with it.
            self._process = subprocess.Popen(command, stdin=pipe, stdout=pipe, stderr=pipe, start_new_session=True)
        except (OSError, IndexError, ValueError) as error:
            raise BrokenProgramError(f"the program cannot be started: {error}") from None
        self._to_write: queue.SimpleQueue[bytes] = queue.SimpleQueue()
        self._lines: queue.Queue[bytes] = queue.Queue(16)  # a program that writes without end has to wait
        self._last_words = b""
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
                self._last_words = line.strip() or self._last_words

    def say(self, message: Mapping[str, Any]) -> None:
        """Send a message and wait for nothing."""
        self._to_write.put(json.dumps(message, ensure_ascii=False, allow_nan=False).encode() + b"\n")

    def ask(self, message: Mapping[str, Any], timeout: float) -> dict[str, Any]:
        """Send a message and return the answer.

        Raises:
            BrokenProgramError: none came in so many seconds, or it is no JSON object.
        """
        self.say(message)
        try:
            line = self._lines.get(timeout=timeout)
        except queue.Empty:
            raise BrokenProgramError(self._complaint(f"no answer in {timeout:g} s")) from None
        if not line:
            raise BrokenProgramError(self._complaint(self._manner_of_death()))
        if not line.endswith(b"\n"):
            raise BrokenProgramError(self._complaint(f"a line that does not end: {_shown(line)}"))
        try:
            answer = json.loads(line, parse_constant=_refuse)
        except (ValueError, RecursionError):
            raise BrokenProgramError(self._complaint(f"a line that is no JSON: {_shown(line)}")) from None
        if not isinstance(answer, dict):
            raise BrokenProgramError(self._complaint(f"a line that is no JSON object: {_shown(line)}"))
        return answer

    def _manner_of_death(self) -> str:
        self.wait(_PATIENCE)
        code = self._process.poll()
        if code is None:
            return "the program closed its output"
        return f"the program ended with exit code {code}" if code >= 0 else f"signal {-code} ended the program"

    def _complaint(self, reason: str) -> str:
        """Return the reason together with the last line that the program wrote to its standard error."""
        time.sleep(0.05)  # what was written just before has to come through
        words = self._last_words.decode(errors="replace")
        return f"{reason}; its last words: {words[:_SHOWN]}" if words else reason

    def wait(self, timeout: float) -> None:
        """Wait for the program to end by itself, at most so many seconds."""
        with contextlib.suppress(subprocess.TimeoutExpired):
            self._process.wait(timeout)

    def end(self) -> None:
        """End the program and all that it started."""
        self._is_over = True
        self._to_write.put(b"")
        with contextlib.suppress(ProcessLookupError, PermissionError):
            if hasattr(os, "killpg"):
                os.killpg(self._process.pid, signal.SIGKILL)
            else:
                self._process.kill()
        self.wait(_PATIENCE)
        last = time.monotonic() + _PATIENCE
        while any(thread.is_alive() for thread in self._threads) and time.monotonic() < last:
            with contextlib.suppress(queue.Empty):  # the reader may be waiting for room
                self._lines.get(timeout=0.01)


def _shown(line: bytes) -> str:
    text = line[: 4 * _SHOWN].decode(errors="replace").rstrip("\n")
    return repr(text if len(text) <= _SHOWN else f"{text[:_SHOWN]}…")


def _refuse(name: str) -> None:
    raise ValueError(name)
