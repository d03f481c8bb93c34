"""Talks HTTP to a server in the tests: plain requests over one connection, and what comes back made comparable."""

from __future__ import annotations

import json
import re
from http.client import HTTPConnection, HTTPException
from typing import Any
from urllib.parse import urlencode, urlsplit

import attrs

API = "/api/2.0/mlflow/"
JSON = {"Content-Type": "application/json"}


@attrs.frozen
class Reply:
    """What a server answered."""

    status: int
    headers: dict[str, str]
    content: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.content)


class Api:
    """A connection to a server; paths that do not start with a slash are those of MLflow's API."""

    def __init__(self, url: str, prefix: str = "") -> None:
        parts = urlsplit(url)
        assert parts.hostname is not None
        self._connection = HTTPConnection(parts.hostname, parts.port, timeout=60)
        self._prefix = parts.path.rstrip("/") + prefix

    def send(
        self, method: str, path: str, content: bytes | None = None, headers: dict[str, str] | None = None
    ) -> Reply:
        """Send a request as it is; a connection that the server closed is opened again."""
        whole = self._prefix + (path if path.startswith("/") else API + path)
        for is_last in (False, True):
            try:
                self._connection.request(method, whole, content, headers or {})
                response = self._connection.getresponse()
                return Reply(response.status, {k.lower(): v for k, v in response.getheaders()}, response.read())
            except (HTTPException, ConnectionError):
                self._connection.close()
                if is_last:
                    raise
        raise AssertionError

    def post(self, path: str, body: Any, method: str = "POST") -> Reply:
        return self.send(method, path, json.dumps(body).encode(), JSON)

    def get(self, path: str, method: str = "GET", /, **query: Any) -> Reply:
        return self.send(method, f"{path}?{urlencode(query, doseq=True)}" if query else path)

    def close(self) -> None:
        self._connection.close()


class Notes:
    """Requests to one server and its answers, with ids, times and made-up names left out."""

    def __init__(self, api: Api) -> None:
        self.api = api
        self.seen: list[Any] = []
        self._names: dict[str, str] = {}

    def name(self, text: str) -> str:
        """Give an id the name of its place in the notes, and return the id."""
        self._names.setdefault(text, f"<{len(self._names)}>")
        return text

    def post(self, path: str, body: Any, method: str = "POST") -> Any:
        return self._note((method, path, body), self.api.post(path, body, method))

    def get(self, path: str, method: str = "GET", /, **query: Any) -> Any:
        return self._note((method, path, query), self.api.get(path, method, **query))

    def send(self, method: str, path: str, content: bytes | None = None, headers: dict[str, str] | None = None) -> Any:
        return self._note((method, path, content, headers), self.api.send(method, path, content, headers))

    def _note(self, request: Any, reply: Reply) -> Any:
        try:
            body = reply.json
        except ValueError:
            body = reply.content.decode("utf-8", "replace")
        self.seen.append((self._plain(request), reply.status, self._plain(body)))
        return body

    def _plain(self, value: Any) -> Any:
        if isinstance(value, dict):
            plain = {self._text(key): self._plain(each) for key, each in value.items()}
            if "error_code" in plain:
                is_of_database = plain["error_code"] == "BAD_REQUEST"
                plain["message"] = "" if is_of_database else plain["message"].partition(" Error: (")[0]
            if "next_page_token" in plain:
                plain["next_page_token"] = "<token>"
            if str(plain.get("artifact_location", "mlflow")).startswith("/"):
                plain["artifact_location"] = "<on disk>"
            for name in ("run_name", "name"):
                if re.fullmatch(r"[a-z]+-[a-z]+-\d+", str(plain.get(name))):
                    plain[name] = "<made up>"
            if plain.get("key") == "mlflow.runName" and re.fullmatch(r"[a-z]+-[a-z]+-\d+", plain["value"]):
                plain["value"] = "<made up>"
            return plain
        if isinstance(value, list | tuple):
            items = [self._plain(each) for each in value]
            is_set = items and all(isinstance(item, dict) and "key" in item for item in items)
            return sorted(items, key=lambda item: json.dumps(item, sort_keys=True)) if is_set else items
        if isinstance(value, int) and not isinstance(value, bool) and 10**12 < value < 10**13:
            return "<now>"
        return self._text(value) if isinstance(value, str) else value

    def _text(self, text: str) -> str:
        for known, name in self._names.items():
            text = text.replace(known, name)
        text = re.sub(r"m-[0-9a-f]{32}", "<model>", text)
        text = re.sub(r"(?!a{32})[0-9a-f]{32}", "<run>", text)
        return re.sub(r"timestamp=\d{13}", "timestamp=<now>", text)
