"""An Argilla of one's own for tests: datasets in memory, over its HTTP API, which takes what the
real one takes and refuses what that refuses.

    with LocalArgilla() as argilla:
        url = argilla.address
"""

import json
import re
from dataclasses import dataclass, field
from typing import Any, Final

from prefmill.testing.local_server import LocalHandler, LocalServer

QUESTION: Final = re.compile(r"(?=.*[a-z0-9])[a-z0-9_-]{1,200}")
AGENT: Final = re.compile(r"(?=.*[a-zA-Z0-9])[a-zA-Z0-9-_:./\s]{1,200}")
MOST: Final = 500

Item = dict[str, Any]


@dataclass
class Dataset:
    """One dataset: its settings, and its records by external id in the order of their coming."""

    about: Item
    fields: list[Item] = field(default_factory=list[Item])
    questions: list[Item] = field(default_factory=list[Item])
    properties: list[Item] = field(default_factory=list[Item])
    records: dict[str, Item] = field(default_factory=dict[str, Item])

    def part(self, name: str) -> list[Item]:
        """What a listing of the API shows."""
        return {
            "fields": self.fields,
            "questions": self.questions,
            "metadata-properties": self.properties,
        }[name]


@dataclass
class LocalArgilla(LocalServer):
    """A server on a free port of the loopback, until the `with` ends."""

    workspaces: tuple[str, ...] = ("team",)
    key: str = "key"
    drop_after: int | None = None
    """So many batches of records are taken; the next one is stored and its answer cut off, and all
    after it are cut off unread, until it is set to None."""
    status: int = 0
    """What answers everything, if not 0: 500, 429, …"""
    datasets: dict[str, Dataset] = field(default_factory=dict[str, Dataset])
    batches: int = 0

    def handler(self) -> type[LocalHandler]:
        """What answers."""
        return _Handler


class Refused(Exception):
    """A request that the real server answers with 422."""


class _Handler(LocalHandler):
    local: LocalArgilla

    def answer(self) -> None:
        """Whatever was asked."""
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        if self.headers.get("X-Argilla-Api-Key") != self.local.key:
            return self._send(401, {"detail": "unauthorized"})
        if self.local.status:
            return self._send(self.local.status, {"detail": "out of order"})
        parts = self.path.removeprefix("/api/v1/").removeprefix("me/").split("/")
        try:
            told = self._route(parts, json.loads(body) if body else None)
        except Refused as refused:
            return self._send(422, {"detail": str(refused)})
        return None if told is None else self._send(200, told)

    def _route(self, parts: list[str], body: Any) -> Any:
        match self.command, parts:
            case "GET", ["workspaces"]:
                return {"items": [{"id": f"w-{w}", "name": w} for w in self.local.workspaces]}
            case "GET", ["datasets"]:
                return {"items": [made.about for made in self.local.datasets.values()]}
            case "POST", ["datasets"]:
                return self._create(body)
            case "PUT", ["datasets", name, "publish"]:
                return _publish(self.local.datasets[name])
            case "PUT", ["datasets", name, "records", "bulk"]:
                return self._upsert(self.local.datasets[name], body["items"])
            case "GET", ["datasets", name, part]:
                return {"items": self.local.datasets[name].part(part)}
            case "POST", ["datasets", name, part]:
                return _added(self.local.datasets[name], part, body)
            case _:
                raise Refused(f"unknown: {self.command} {self.path}")

    def _create(self, body: Item) -> Item:
        about = {**body, "id": f"d{len(self.local.datasets)}", "status": "draft"}
        self.local.datasets[about["id"]] = Dataset(about)
        return about

    def _upsert(self, dataset: Dataset, items: list[Item]) -> Item | None:
        limit = self.local.drop_after
        if limit is not None and self.local.batches > limit:
            return self.cut()
        _check_records(dataset, items)
        for item in items:
            dataset.records[item["external_id"]] = item
        self.local.batches += 1
        cut = limit is not None and self.local.batches > limit
        return self.cut() if cut else {"items": [], "updated_item_ids": []}

    def _send(self, status: int, value: Any) -> None:
        content = json.dumps(value).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)


def _added(dataset: Dataset, part: str, body: Item) -> Item:
    if dataset.about["status"] != "draft" and part != "metadata-properties":
        raise Refused(f"{part} cannot be added to a published dataset")
    if part == "questions":
        _check_question(body)
    made = {**body, "id": f"{part}-{len(dataset.part(part))}"}
    dataset.part(part).append(made)
    return made


def _check_question(body: Item) -> None:
    if not QUESTION.fullmatch(body["name"]):
        raise Refused(f"{body['name']!r} is no name of a question")
    values = [option["value"] for option in body["settings"]["options"]]
    if not 2 <= len(values) <= 10 or not all(1 <= value <= 10 for value in values):
        raise Refused(f"{values} are no ratings")


def _publish(dataset: Dataset) -> Item:
    for part in (dataset.fields, dataset.questions):
        if not any(made["required"] for made in part):
            raise Refused("a required field and a required question are missing")
    dataset.about["status"] = "ready"
    return dataset.about


def _check_records(dataset: Dataset, items: list[Item]) -> None:
    if dataset.about["status"] != "ready":
        raise Refused("the dataset is not published")
    if not 1 <= len(items) <= MOST or len({item["external_id"] for item in items}) < len(items):
        raise Refused("too many records, none, or one twice")
    known = {made["name"] for made in dataset.fields}
    required = {made["name"] for made in dataset.fields if made["required"]}
    options = {
        made["id"]: {option["value"] for option in made["settings"]["options"]}
        for made in dataset.questions
    }
    for item in items:
        if not required <= item["fields"].keys() <= known:
            raise Refused(f"fields {sorted(item['fields'])}")
        for given in item["suggestions"]:
            score = given["score"]
            if given["value"] not in options[given["question_id"]]:
                raise Refused(f"{given['value']} is not among the question's values")
            if not AGENT.fullmatch(given["agent"]) or not (score is None or 0 <= score <= 1):
                raise Refused(f"agent {given['agent']!r}, score {score}")
