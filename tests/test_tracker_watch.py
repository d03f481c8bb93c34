"""`push --watch`: what is logged is sent soon, an unreachable server is survived, and Ctrl-C ends it."""

from __future__ import annotations

import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import mlflow
import pytest

from mlquery.durable.opening import open as open_store
from mlquery.errors import StoreError
from mlquery.server.testing import running_server
from mlquery.sync.pulling import pull
from mlquery.sync.sending import PushResult
from mlquery.sync.source import SourceFile
from mlquery.sync.sources import StoreSource
from mlquery.sync.watching import pushes

pytestmark = pytest.mark.slow


def until(condition: Callable[[], Any]) -> None:
    for _ in range(600):
        if condition():
            return
        time.sleep(0.1)
    raise AssertionError("not in time")


def test_runs_are_pushed_while_they_are_logged_until_ctrl_c(tmp_path: Path) -> None:
    with running_server() as server, open_store(tmp_path / "runs.mlq") as store:
        run_id = store.create_run("0", "me", 1, [], "first").info.run_id
        command = [sys.executable, "-m", "mlquery", "push", server.url, "--store", str(store.path), "--watch"]
        command += ["--interval", "0.5"]
        process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        client = mlflow.MlflowClient(server.url)
        until(lambda: len(client.search_runs(["0"])) == 1)
        store.create_run("0", "me", 2, [], "second")
        store.update_run_info(run_id, 3, 9, None)
        until(lambda: {"RUNNING", "FINISHED"} == {run.info.status for run in client.search_runs(["0"])})
        time.sleep(1)
        process.send_signal(signal.SIGINT)
        out, errors = process.communicate(timeout=60)

    assert (0, b"") == (process.returncode, errors)
    assert out.startswith(b"1 new run, 0 changed, 0 up to date")


def test_a_failure_is_said_once_and_tried_again_and_a_store_that_stays_is_left_alone(tmp_path: Path) -> None:
    with open_store(tmp_path / "a") as store:
        outcomes: list[Any] = [StoreError("down"), StoreError("down"), StoreError("other"), PushResult(new_runs=1)]
        calls, looks = [0], [0]

        def push_once() -> PushResult:
            calls[0] += 1
            outcome = outcomes.pop(0)
            if isinstance(outcome, StoreError):
                raise outcome
            return outcome  # type: ignore[no-any-return]

        def wait() -> None:
            looks[0] += 1
            if looks[0] > 20:
                raise KeyboardInterrupt

        said: list[Any] = []
        with pytest.raises(KeyboardInterrupt):
            said.extend(pushes(store, push_once, wait))

    assert ["down", "other", "1"] == [str(one) if isinstance(one, StoreError) else str(one.new_runs) for one in said]
    assert 4 == calls[0]


def test_a_pull_lists_a_file_that_it_cannot_keep_and_goes_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "secret").write_text("nobody's business")
    with open_store(tmp_path / "from") as source:
        run_id = source.create_run("0", "me", 1, [], "one").info.run_id
        source.artifacts.put(run_id, "good.txt", b"good")
        (source.artifacts.folder_of(run_id) / "link").symlink_to(tmp_path / "secret")
        source.artifacts.put(run_id, "z.txt", b"good")
    files = StoreSource.files
    outside = SourceFile("../up.txt", 1, partial(shutil.copyfile, tmp_path / "secret"))
    monkeypatch.setattr(StoreSource, "files", lambda *arguments: (outside, *files(*arguments)))

    with open_store(tmp_path / "to") as store:
        done = pull(store, str(tmp_path / "from"), artifacts=True)

        assert {"good.txt", "z.txt"} == {path for path, _ in store.artifacts_of(run_id)}
    assert 2 == done.files
    up, link = done.bad_files
    assert f"{run_id}: Invalid artifact path: '../up.txt'" == up
    assert link.startswith(f"{run_id}: ")
    assert "link is a link that leads out of the folder" in link
