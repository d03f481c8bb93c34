"""Runs the suite on a program through JSON lines: start, dialect, run for every case, stop.

If the program exits, times out or violates the protocol, that is the outcome of the case, and the program is restarted
for the next one. `conformance/IMPLEMENTING.md` describes the protocol, `conformance/stdio_sample.py` implements it.
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
    ProtocolError,
    disagreements_with,
    read_introduction,
    read_reply,
    run_message,
)
from mlquery.conformance.report import KnownDeviation, Report, Row, new_report, outcome_of_match, row_of, undocumented
from mlquery.conformance.subprocess_client import BrokenProgramError, Program
from mlquery.conformance.suite import Case, Suite, load_suite

DEFAULT_TIMEOUT = 30.0
"""Seconds for one reply."""

_MOST_FAILURES = 5


@attrs.define
class ProgramRunner:
    """Runs cases on one program, which is started at the first case and restarted after a failure.

    Args:
        command: The program and its arguments.
        timeout: Seconds for one reply.
    """

    command: list[str]
    timeout: float = DEFAULT_TIMEOUT
    _program: Program | None = None
    _dialect: str | None = None
    _is_supported: bool = False
    _failures_in_a_row: int = 0
    _seq: int = 0

    def introduction(self) -> Introduction:
        """Start the program and return what it reports about itself.

        Raises:
            BrokenProgramError: it does not introduce itself.
        """
        self._end_program()
        self._program = Program(self.command)
        message = self._request({"cmd": "start", "version": VERSION})
        try:
            return read_introduction(message)
        except ProtocolError as error:
            raise BrokenProgramError(str(error)) from None

    def row(self, case: Case, dialect: str, suite: Suite) -> Row:
        """Run one case and return its row; a failure of the program is part of it."""
        if self._failures_in_a_row >= _MOST_FAILURES:
            return row_of(case, "errored", [f"not run: the program failed {_MOST_FAILURES} times in a row"])
        try:
            found = self._row(case, dialect, suite)
        except BrokenProgramError as broken:
            self._end_program()
            self._failures_in_a_row += 1
            return row_of(case, "errored", [str(broken)])
        except ProtocolError as error:
            return row_of(case, "errored", [str(error)])
        self._failures_in_a_row = 0
        return found

    def _row(self, case: Case, dialect: str, suite: Suite) -> Row:
        if self._program is None:
            self.introduction()
        if self._dialect != dialect:
            self._is_supported = self._request({"cmd": "dialect", "dialect": dialect}).get("ok") is True
            self._dialect = dialect
        if not self._is_supported:
            return row_of(case, "skipped", [f"the program does not support {dialect}"])
        self._seq += 1
        message = self._request(run_message(self._seq, case, suite.stores[case.store]))
        if message.get("seq") != self._seq:
            raise BrokenProgramError(f"the reply is to seq {message.get('seq')!r:.40}, not to {self._seq}")
        return _judged(message, case, dialect)

    def _request(self, message: Mapping[str, Any]) -> dict[str, Any]:
        assert self._program is not None
        return self._program.request(message, self.timeout)

    def stop(self) -> None:
        """Send `stop`, and kill the program if it does not exit."""
        if self._program is not None:
            self._program.send({"cmd": "stop"})
            self._program.wait(min(self.timeout, 5.0))
        self._end_program()

    def _end_program(self) -> None:
        if self._program is not None:
            self._program.kill()
        self._program, self._dialect = None, None


def _judged(message: Mapping[str, Any], case: Case, dialect: str) -> Row:
    reply = read_reply(message, case)
    if reply.skipped is not None:
        return row_of(case, "skipped", [reply.skipped])
    if reply.errored is not None:
        return row_of(case, "errored", [reply.errored])
    expected = case.expect[dialect]
    found = disagreements_with(reply, case, expected)
    return row_of(case, "fail" if found else outcome_of_match(expected), found)


def run_program(
    command: str,
    dialects: Sequence[str] | None = None,
    *,
    suite: Suite | None = None,
    timeout: float = DEFAULT_TIMEOUT,
    includes_silent: bool = False,
    progress: Callable[[int, int], None] = lambda *_: None,
) -> list[Report]:
    """Run every case on a program and return a report for each dialect.

    Args:
        command: The command line of the program.
        dialects: Names of dialects; by default those of the suite that the program supports.
        suite: The cases; by default those that ship with mlquery.
        timeout: Seconds for one reply.
        includes_silent: Whether to run cases for which no source says what the dialect does.
        progress: Called with the number of cases that are done, and of all cases.

    Raises:
        BrokenProgramError: the program cannot be started, or does not introduce itself.
    """
    suite = load_suite() if suite is None else suite
    program_runner = ProgramRunner(_split(command), timeout)
    try:
        program = program_runner.introduction()
        chosen = [name for name in program.dialects if name in suite.dialects] if dialects is None else list(dialects)
        pairs = [(dialect, case) for dialect in chosen for case in suite.cases]
        rows: dict[str, list[Row]] = {dialect: [] for dialect in chosen}
        for number, (dialect, case) in enumerate(pairs, start=1):
            reason = None if includes_silent else undocumented(case, dialect)
            rows[dialect].append(
                row_of(case, "skipped", [reason]) if reason else program_runner.row(case, dialect, suite)
            )
            progress(number, len(pairs))
    finally:
        program_runner.stop()
    known_deviations = tuple(KnownDeviation(text, "reported by the program") for text in program.known_deviations)
    target, name, version = _shown(program_runner.command), program.name, program.product_version
    return [new_report(target, name, version, dialect, found, known_deviations) for dialect, found in rows.items()]


def _split(command: str) -> list[str]:
    try:
        return shlex.split(command)
    except ValueError as error:
        raise BrokenProgramError(f"{command!r} is not a valid command line: {error}") from None


def _shown(command: Sequence[str]) -> str:
    """Return the name of a program in reports: the files in its command line, without other arguments (secrets)."""
    return " ".join(["stdio:", *(Path(word).name for word in command if word == command[0] or Path(word).is_file())])
