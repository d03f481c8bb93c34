"""Files cut off, overwritten and bent at random: loading gives a store or one sentence, and nothing else."""

from __future__ import annotations

import random
import shutil
import sqlite3
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

import mlquery
from mlquery.readers.errors import SourceError

pytestmark = pytest.mark.slow

EXAMPLE = Path(__file__).resolve().parents[1] / "examples" / "sweep.db"
KEPT = ["experiments", "experiment_tags", "runs", "params", "tags", "metrics", "latest_metrics", "datasets"]
KEPT += ["inputs", "input_tags", "logged_models", "logged_model_metrics", "logged_model_params", "logged_model_tags"]
MODELS = """
    INSERT INTO logged_models
        SELECT 'm-' || run_uuid, experiment_id, name, 'x', 5, 6, 2, 'active', NULL, run_uuid, NULL FROM runs;
    INSERT INTO logged_model_params SELECT 'm-' || run_uuid, 1, key, value FROM params;
    INSERT INTO logged_model_tags SELECT 'm-' || run_uuid, 1, key, value FROM tags;
    INSERT INTO logged_model_metrics
        SELECT 'm-' || run_uuid, key, timestamp, step, value, 1, run_uuid, NULL, NULL, NULL FROM latest_metrics;
    INSERT INTO inputs SELECT 'i' || run_uuid, 'RUN_OUTPUT', run_uuid, 'MODEL_OUTPUT', 'm-' || run_uuid, 3 FROM runs;
"""
ROUNDS = 60


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The example without what loading never looks at, so that all damage hits something."""
    path = Path(shutil.copy(EXAMPLE, tmp_path_factory.mktemp("small") / "small.db"))
    connection = sqlite3.connect(path, isolation_level=None)
    tables = connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'").fetchall()
    for (table,) in tables:
        if table not in KEPT:
            connection.execute(f"DROP TABLE {table}")
    indexes = connection.execute("SELECT name FROM sqlite_master WHERE type = 'index' AND sql IS NOT NULL").fetchall()
    for (index,) in indexes:
        connection.execute(f"DROP INDEX {index}")
    connection.execute("DELETE FROM metrics WHERE step > 5")
    connection.executescript(MODELS)
    connection.execute("VACUUM")
    connection.close()
    return path


Damage = Callable[[bytes, random.Random], bytes]


def cut_off(content: bytes, chance: random.Random) -> bytes:
    return content[: chance.randrange(len(content))]


def flip_bits(content: bytes, chance: random.Random) -> bytes:
    bent = bytearray(content)
    for _ in range(chance.choice([1, 3, 30, 300])):
        bent[chance.randrange(len(bent))] ^= 1 << chance.randrange(8)
    return bytes(bent)


def overwrite(content: bytes, chance: random.Random) -> bytes:
    start = chance.randrange(len(content))
    size = chance.choice([1, 16, 1024, 8192])
    filling = chance.choice([b"\0" * size, b"\xff" * size, chance.randbytes(size)])
    return (content[:start] + filling + content[start + size :])[: len(content)]


def bend_header(content: bytes, chance: random.Random) -> bytes:
    """Bend the header and the table of tables, behind the magic word."""
    bent = bytearray(content)
    for _ in range(chance.choice([1, 2, 8])):
        bent[chance.randrange(16, 3000)] = chance.randrange(256)
    return bytes(bent)


def shuffle_pages(content: bytes, chance: random.Random) -> bytes:
    pages = [content[at : at + 1024] for at in range(0, len(content), 1024)]
    for _ in range(chance.choice([1, 4, 40])):
        first, second = chance.randrange(1, len(pages)), chance.randrange(1, len(pages))
        pages[first], pages[second] = pages[second], pages[chance.choice([first, second])]
    return b"".join(pages)


def sentence(source: Path) -> str | None:
    """Return what loading is refused with, None if it is not."""
    try:
        mlquery.load(source)
    except SourceError as error:
        return str(error)
    return None


def outcomes(path: Path, versions: Iterator[bytes]) -> list[bool]:
    """Load each version of the file and return whether it was refused."""
    refused = []
    for content in versions:
        path.write_bytes(content)
        said = sentence(path)
        assert said is None or (said.startswith(repr(str(path))) and "\n" not in said)
        refused.append(said is not None)
    return refused


@pytest.mark.parametrize("damage", [cut_off, flip_bits, overwrite, bend_header, shuffle_pages])
def test_a_damaged_database_is_read_or_refused(damage: Damage, small: Path, tmp_path: Path) -> None:
    content, chance = small.read_bytes(), random.Random(damage.__name__)
    assert mlquery.load(small).models.by_id

    refused = outcomes(tmp_path / "damaged.db", (damage(content, chance) for _ in range(ROUNDS)))

    assert ROUNDS == len(refused)
    assert any(refused)


def test_a_damaged_log_beside_a_database_is_read_or_refused(small: Path, tmp_path: Path) -> None:
    writer = sqlite3.connect(shutil.copy(small, tmp_path / "live.db"), isolation_level=None)
    writer.execute("PRAGMA journal_mode = WAL")
    writer.execute("UPDATE runs SET name = 'new'")
    chance, log = random.Random(0), (tmp_path / "live.db-wal").read_bytes()
    path = Path(shutil.copy(tmp_path / "live.db", tmp_path / "left.db"))
    writer.close()
    assert len(log) > 1000

    for damage in (cut_off, flip_bits, overwrite):
        for _ in range(8):
            (tmp_path / "left.db-wal").write_bytes(damage(log, chance))
            assert 1 == len(outcomes(path, iter([path.read_bytes()])))


@pytest.mark.parametrize("damage", [cut_off, flip_bits, overwrite])
def test_a_damaged_file_in_a_folder_is_read_or_refused(damage: Damage, tmp_path: Path) -> None:
    run, model = tmp_path / "1" / "abc", tmp_path / "1" / "models" / "m-1"
    files = {
        tmp_path
        / "1"
        / "meta.yaml": b"artifact_location: x\ncreation_time: 5\nexperiment_id: '1'\nname: \"one \\u263a\"\n",
        tmp_path
        / "1"
        / "datasets"
        / "d"
        / "meta.yaml": b"digest: e\nname: d\nsource: '{\"a\": 1,\n\n  2}'\nsource_type: s\n",
        run / "meta.yaml": b"end_time: null\nexperiment_id: '1'\nrun_id: abc\nstart_time: 5\nstatus: 3\nuser_id: me\n",
        run / "inputs" / "i" / "meta.yaml": b"source_id: d\nsource_type: DATASET\ntags:\n  a: b\n  ? 'c'\n  : d\n",
        run / "metrics" / "loss": b"5 0.25 1\n6 nan 2\n7 -inf 3 train abc\n",
        run / "params" / "lr": "0.1 ☺".encode(),
        run / "outputs" / "m-1" / "meta.yaml": b"destination_id: m-1\ndestination_type: MODEL_OUTPUT\nstep: 5\n",
        model / "meta.yaml": b"artifact_location: x\nexperiment_id: '1'\nmodel_id: m-1\nname: one\nstatus: 2\n",
        model / "metrics" / "loss": b"5 0.25 1 abc\n6 inf 2 abc train e\n",
        model / "tags" / "t": "☺".encode(),
    }
    for path, content in files.items():
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
    whole = mlquery.load(tmp_path)
    assert (1, ["m-1"]) == (whole.runs.size, list(whole.models.by_id))

    chance = random.Random(damage.__name__)
    for path, content in files.items():
        for _ in range(ROUNDS):
            path.write_bytes(damage(content, chance))
            assert "\n" not in (sentence(tmp_path) or "")
        path.write_bytes(content)
