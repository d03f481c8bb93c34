"""Run the suite on a program that speaks JSON lines: start, dialect, run for every case, stop.

Whatever the program does instead of answering (end, be silent, babble, write without end) becomes the outcome of the
case with the reason, and the program is started again for the next one. `conformance/IMPLEMENTING.md` describes the
protocol, `conformance/stdio_sample.py` speaks it.
"""

from __future__ import annotations

import shlex
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, Literal

import attrs

from mlquery.conformance.program import Broken, Program
from mlquery.conformance.suite import Case, Suite, load_suite
from mlquery.conformance.wire import (
    VERSION,
    Introduction,
    Unfit,
    disagreements_with,
    read_introduction,
    read_reply,
    run_message,
)

DEFAULT_TIMEOUT = 30.0
"""Seconds for one answer."""

_MOST_IN_A_ROW = 5


@attrs.frozen
class Told:
    """What became of a case in a dialect on a program, and why."""

    case: Case
    dialect: str
    verdict: Literal["pass", "fail", "skipped", "errored"]
    reasons: tuple[str, ...] = ()


@attrs.define
class Talk:
    """A talk with one program, which is started when it is needed and again after it broke.

    Args:
        command: The program and its arguments.
        timeout: Seconds for one answer.
    """

    command: list[str]
    timeout: float = DEFAULT_TIMEOUT
    _program: Program | None = None
    _dialect: str | None = None
    _is_spoken: bool = False
    _broken_in_a_row: int = 0
    _seq: int = 0

    def introduction(self) -> Introduction:
        """Start the program if need be and return what it says of itself.

        Raises:
            Broken: it does not say it.
        """
        self._leave()
        self._program = Program(self.command)
        message = self._ask({"cmd": "start", "version": VERSION})
        try:
            return read_introduction(message)
        except Unfit as unfit:
            raise Broken(str(unfit)) from None

    def told(self, case: Case, dialect: str, suite: Suite) -> Told:
        """Ask for one case; whatever goes wrong is part of what is returned."""
        if self._broken_in_a_row >= _MOST_IN_A_ROW:
            return Told(case, dialect, "errored", (f"not asked: the program broke {_MOST_IN_A_ROW} times in a row",))
        try:
            found = self._told(case, dialect, suite)
        except Broken as broken:
            self._leave()
            self._broken_in_a_row += 1
            return Told(case, dialect, "errored", (str(broken),))
        except Unfit as unfit:
            return Told(case, dialect, "errored", (str(unfit),))
        self._broken_in_a_row = 0
        return found

    def _told(self, case: Case, dialect: str, suite: Suite) -> Told:
        if self._program is None:
            self.introduction()
        if self._dialect != dialect:
            self._is_spoken = self._ask({"cmd": "dialect", "dialect": dialect}).get("ok") is True
            self._dialect = dialect
        if not self._is_spoken:
            return Told(case, dialect, "skipped", (f"the program does not speak {dialect}",))
        self._seq += 1
        message = self._ask(run_message(self._seq, case, suite.stores[case.store]))
        if message.get("seq") != self._seq:
            raise Broken(f"the answer is to seq {message.get('seq')!r:.40}, not to {self._seq}")
        reply = read_reply(message, case)
        if reply.skipped is not None:
            return Told(case, dialect, "skipped", (reply.skipped,))
        if reply.errored is not None:
            return Told(case, dialect, "errored", (reply.errored,))
        found = tuple(disagreements_with(reply, case, case.expect[dialect]))
        return Told(case, dialect, "fail" if found else "pass", found)

    def _ask(self, message: Mapping[str, Any]) -> dict[str, Any]:
        assert self._program is not None
        return self._program.ask(message, self.timeout)

    def stop(self) -> None:
        """Say goodbye, and end the program if it stays."""
        if self._program is not None:
            self._program.say({"cmd": "stop"})
            self._program.wait(min(self.timeout, 5.0))
        self._leave()

    def _leave(self) -> None:
        if self._program is not None:
            self._program.end()
        self._program, self._dialect = None, None


def run_program(
    command: str,
    dialects: Iterable[str] | None = None,
    *,
    suite: Suite | None = None,
    timeout: float = DEFAULT_TIMEOUT,
) -> tuple[Introduction, Iterator[Told]]:
    """Start a program and return what it says of itself, and what becomes of every case as it is asked for.

    Args:
        command: The command line of the program.
        dialects: Names of dialects; by default those that the program names.
        suite: The cases; by default those that ship with mlquery.
        timeout: Seconds for one answer.

    Raises:
        Broken: the program cannot be started or does not introduce itself.
    """
    suite = load_suite() if suite is None else suite
    talk = Talk(_words(command), timeout)
    try:
        introduction = talk.introduction()
    except Broken:
        talk.stop()
        raise
    chosen = list(introduction.dialects if dialects is None else dialects)
    return introduction, _all_told(talk, chosen, suite)


def _all_told(talk: Talk, dialects: list[str], suite: Suite) -> Iterator[Told]:
    try:
        for dialect in dialects:
            for case in suite.cases:
                yield talk.told(case, dialect, suite)
    finally:
        talk.stop()


def _words(command: str) -> list[str]:
    try:
        return shlex.split(command)
    except ValueError as error:
        raise Broken(f"{command!r} is no command line: {error}") from None
