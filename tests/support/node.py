"""Functions of the page's modules, called in Node, for tests of what the page computes without a browser."""

from __future__ import annotations

import json
import math
import shutil
import subprocess
from pathlib import Path
from typing import Any

NODE = shutil.which("node")
MISSING = "there is no node here (Debian: apt-get install nodejs)"
SOURCES = Path(__file__).resolve().parents[2] / "mlquery" / "view" / "src"
# Numbers that JSON lacks come as strings, as the page has them; typed arrays come as lists.
_LOOP = """
import { createInterface } from "node:readline";
const plain = (key, value) => {
  if (ArrayBuffer.isView(value)) return Array.from(value);
  return typeof value === "number" && !Number.isFinite(value) ? String(value) : value;
};
const documentOf = (content) => ({ getElementById: () => ({ textContent: content }) });
for await (const line of createInterface({ input: process.stdin })) {
  const { file, name, values } = JSON.parse(line, (key, value) => (value?.$number ? Number(value.$number) : value));
  let answer;
  try {
    const module = await import(file);
    const [first, method] = name.split(".");
    const owner = method ? await module[first](documentOf(values.shift())) : module;
    answer = { value: await owner[method ?? first](...values) };
  } catch (error) {
    answer = { error: error.message, start: error.start, stop: error.stop };
  }
  process.stdout.write(JSON.stringify(answer, plain) + "\\n");
}
"""


class PageError(Exception):
    """A function of the page threw an error."""


class Node:
    """A process of Node that calls exported functions of modules below mlquery/view/src, one after the other."""

    def __init__(self) -> None:
        command = [NODE or "node", "--input-type=module", "--no-warnings", "-e", _LOOP]
        self._process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, encoding="utf-8")

    def call(self, file: str, name: str, *values: Any) -> Any:
        """Return what a function returns for JSON values; raise PageError if it throws.

        Args:
            file: The module.
            name: The function, or "function.method" for a method of what it makes of a document that holds a string.
            values: The arguments; before those of a method comes the string in the document.
        """
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        question = {"file": (SOURCES / file).as_uri(), "name": name, "values": _sent(values)}
        self._process.stdin.write(json.dumps(question) + "\n")
        self._process.stdin.flush()
        answer = json.loads(self._process.stdout.readline())
        if "error" in answer:
            raise PageError(answer["error"])
        return answer.get("value")

    def close(self) -> None:
        """End the process."""
        self._process.communicate()


def _sent(value: Any) -> Any:
    """Return a value with the numbers that JSON lacks marked."""
    if isinstance(value, float) and not math.isfinite(value):
        return {"$number": "NaN" if value != value else "Infinity" if value > 0 else "-Infinity"}
    if isinstance(value, list | tuple):
        return [_sent(part) for part in value]
    return {key: _sent(part) for key, part in value.items()} if isinstance(value, dict) else value
