"""The railroad diagram beside the grammar is what the parser says now, and complete."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from types import ModuleType
from xml.etree import ElementTree

import pytest

SCRIPT = Path(__file__).resolve().parents[1] / "grammar" / "make_railroad.py"
TEXT, GROUP = "{http://www.w3.org/2000/svg}text", "{http://www.w3.org/2000/svg}g"


@pytest.fixture(scope="module")
def railroad() -> ModuleType:
    """Load the script that draws the diagram."""
    spec = importlib.util.spec_from_file_location("make_railroad", SCRIPT)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_the_diagram_is_up_to_date(railroad: ModuleType) -> None:
    """On a difference run `python grammar/make_railroad.py` and look at the result."""
    assert railroad.svg() == railroad.FILE.read_text(encoding="utf-8")


def test_the_diagram_says_in_its_first_line_that_it_is_generated(railroad: ModuleType) -> None:
    first_line = railroad.FILE.read_text(encoding="utf-8").splitlines()[0]

    assert "Generated" in first_line
    assert "python grammar/make_railroad.py" in first_line


def test_every_piece_that_the_diagram_refers_to_has_a_drawing(railroad: ModuleType) -> None:
    picture = ElementTree.fromstring(railroad.FILE.read_text(encoding="utf-8").split("\n", 1)[1])

    titles = {text.text for text in picture.iter(TEXT) if text.get("class") == "title"}
    boxes = [group for group in picture.iter(GROUP) if "non-terminal" in group.get("class", "")]
    referred_to = {text.text for box in boxes for text in box.iter(TEXT) if text.get("class") != "comment"}

    assert {"name", "word"} <= referred_to
    assert set() == referred_to - titles


def test_every_word_and_operator_of_the_language_is_drawn(railroad: ModuleType) -> None:
    picture = ElementTree.fromstring(railroad.FILE.read_text(encoding="utf-8").split("\n", 1)[1])

    drawn = {text.text for text in picture.iter(TEXT)}

    words = {"AND", "OR", "NOT", "LIKE", "ILIKE", "RLIKE", "IN", "IS", "NULL", "BETWEEN", "ASC", "DESC", "(", ")", ","}
    operators = {"=", "!=", ">", ">=", "<", "<=", "==", "<>"}
    assert set() == (words | operators) - drawn
