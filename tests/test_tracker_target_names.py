"""The names of targets: a server has one, however its address is written."""

from __future__ import annotations

from pathlib import Path

import pytest

from mlquery.durable.opening import open as open_store
from mlquery.errors import StoreError
from mlquery.remote.names import target_name
from mlquery.server.testing import running_server
from mlquery.store.changes import SetPushed
from mlquery.sync.pulling import pull
from mlquery.sync.pushing import plan_push, push


@pytest.mark.parametrize(
    ("name", "spellings"),
    [
        (
            "http://127.0.0.1:5000",
            [
                *(
                    "http://localhost:5000",
                    "http://127.0.0.1:5000/",
                    "HTTP://LocalHost:5000//",
                    "http://127.0.0.1:5000",
                ),
                *("http://user:password@localhost:5000", "http://localhost:5000?token=x"),
            ],
        ),
        ("http://host", ["http://host:80", "http://HOST:80/", "http://Host"]),
        ("https://host/Base", ["https://host:443/Base/", "https://HOST/Base"]),
        ("https://host:80", ["https://host:80"]),
        ("http://[::1]:5000", ["http://[::1]:5000/"]),
    ],
)
def test_a_server_has_one_name(name: str, spellings: list[str]) -> None:
    assert {name} == set(map(target_name, spellings))
    assert name == target_name(name)


@pytest.mark.parametrize("address", ["localhost:5000", "127.0.0.1:5000/base", "my-host.example:80", "[::1]:5000"])
def test_an_address_without_a_scheme_asks_what_was_meant(address: str, tmp_path: Path) -> None:
    with open_store(tmp_path / "a") as store:
        for call in (push, plan_push, pull):
            with pytest.raises(StoreError) as refused:
                call(store, address)
            assert f"{address!r} is not a tracking URI; did you mean 'http://{address}'?" == str(refused.value)


def test_a_server_that_was_pushed_to_under_another_spelling_gets_nothing_again(tmp_path: Path) -> None:
    with running_server() as server, open_store(tmp_path / "a") as store:
        for name in ("one", "two"):
            store.create_run("0", "me", 1, [], name)
        push(store, server.url)
        for kind, ids in store.pushed.pop(server.url).items():  # as earlier versions remembered it
            for own, there in ids.items():
                store.write(SetPushed(server.url.replace("127.0.0.1", "localhost") + "/", kind, own, *there))

        for url in (server.url, server.url.replace("127.0.0.1", "LOCALHOST") + "/"):
            assert (0, 2) == ((done := push(store, url)).new_runs, done.same_runs)
            assert 0 == pull(store, url).new_runs
