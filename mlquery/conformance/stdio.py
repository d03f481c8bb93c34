"""Run the suite on a program that speaks JSON lines: start, dialect, run for every case, stop.

Whatever the program does instead of answering (end, be silent, babble, write without end) becomes the outcome of the
case with the reason, and the program is started again for the next one. `conformance/IMPLEMENTING.md` describes the
protocol, `conformance/stdio_sample.py` speaks it.
"""

from __future__ import annotations

import shlex
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import attrs

from mlquery.conformance.protocol import (
    VERSION,
    Introduction,
    Unfit,
    disagreements_with,
    read_introduction,
    read_reply,
    run_message,
)
from mlquery.conformance.report import Report, Row, Tweak, met, new_report, row_of, unsaid
from mlquery.conformance.subprocess_client import BrokenProgramError, Program
from mlquery.conformance.suite import Case, Suite, load_suite

DEFAULT_TIMEOUT = 30.0
"""Seconds for one answer."""

_MOST_IN_A_ROW = 5


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
        """Start the program and return what it says of itself.

        Raises:
            BrokenProgramError: it does not say it.
        """
        self._leave()
        self._program = Program(self.command)
        message = self._ask({"cmd": "start", "version": VERSION})
        try:
            return read_introduction(message)
        except Unfit as unfit:
            raise BrokenProgramError(str(unfit)) from None

    def row(self, case: Case, dialect: str, suite: Suite) -> Row:
        """Ask one case and return what became of it; whatever goes wrong is part of that."""
        if self._broken_in_a_row >= _MOST_IN_A_ROW:
            return row_of(case, "errored", [f"not asked: the program broke {_MOST_IN_A_ROW} times in a row"])
        try:
            found = self._row(case, dialect, suite)
        except BrokenProgramError as broken:
            self._leave()
            self._broken_in_a_row += 1
            return row_of(case, "errored", [str(broken)])
        except Unfit as unfit:
            return row_of(case, "errored", [str(unfit)])
        self._broken_in_a_row = 0
        return found

    def _row(self, case: Case, dialect: str, suite: Suite) -> Row:
        if self._program is None:
            self.introduction()
        if self._dialect != dialect:
            self._is_spoken = self._ask({"cmd": "dialect", "dialect": dialect}).get("ok") is True
            self._dialect = dialect
        if not self._is_spoken:
            return row_of(case, "skipped", [f"the program does not speak {dialect}"])
        self._seq += 1
        message = self._ask(run_message(self._seq, case, suite.stores[case.store]))
        if message.get("seq") != self._seq:
            raise BrokenProgramError(f"the answer is to seq {message.get('seq')!r:.40}, not to {self._seq}")
        return _judged(message, case, dialect)

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


def _judged(message: Mapping[str, Any], case: Case, dialect: str) -> Row:
    reply = read_reply(message, case)
    if reply.skipped is not None:
        return row_of(case, "skipped", [reply.skipped])
    if reply.errored is not None:
        return row_of(case, "errored", [reply.errored])
    expected = case.expect[dialect]
    found = disagreements_with(reply, case, expected)
    return row_of(case, "fail" if found else met(expected), found)


def ask_program(
    command: str,
    dialects: Sequence[str] | None = None,
    *,
    suite: Suite | None = None,
    timeout: float = DEFAULT_TIMEOUT,
    asks_silent: bool = False,
    progress: Callable[[int, int], None] = lambda *_: None,
) -> list[Report]:
    """Ask a program every case and return a report for each dialect.

    Args:
        command: The command line of the program.
        dialects: Names of dialects; by default those of the suite that the program names.
        suite: The cases; by default those that ship with mlquery.
        timeout: Seconds for one answer.
        asks_silent: Whether to ask too where no source says what the dialect answers.
        progress: Is told how many answers there are, and how many there will be.

    Raises:
        BrokenProgramError: the program cannot be started or does not introduce itself.
    """
    suite = load_suite() if suite is None else suite
    talk = Talk(_words(command), timeout)
    try:
        program = talk.introduction()
        chosen = [name for name in program.dialects if name in suite.dialects] if dialects is None else list(dialects)
        pairs = [(dialect, case) for dialect in chosen for case in suite.cases]
        rows: dict[str, list[Row]] = {dialect: [] for dialect in chosen}
        for number, (dialect, case) in enumerate(pairs, start=1):
            reason = None if asks_silent else unsaid(case, dialect)
            rows[dialect].append(row_of(case, "skipped", [reason]) if reason else talk.row(case, dialect, suite))
            progress(number, len(pairs))
    finally:
        talk.stop()
    tweaks = tuple(Tweak(text, "says the program") for text in program.tweaks)
    target, name, version = _shown(talk.command), program.name, program.product_version
    return [new_report(target, name, version, dialect, found, tweaks) for dialect, found in rows.items()]


def _words(command: str) -> list[str]:
    try:
        return shlex.split(command)
    except ValueError as error:
        raise BrokenProgramError(f"{command!r} is no command line: {error}") from None


def _shown(command: Sequence[str]) -> str:
    """Return what a report calls a program: the names of files in its command line, no other arguments (secrets)."""
    return " ".join(["stdio:", *(Path(word).name for word in command if word == command[0] or Path(word).is_file())])
