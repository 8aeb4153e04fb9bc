"""Pages that a browser without internet cannot draw say where their content is."""

import re
from typing import Any, cast

import pytest
from fastapi import FastAPI

from prefmill.coordinator.api import create_api
from prefmill.coordinator.described import api_page, wire_page


class Asked:
    """As much of a request as the page looks at."""

    app = FastAPI(title="x")


def text_of(element: str, page: str) -> str:
    found = re.search(rf'<div id="{element}">(.*?)</div>', page, re.DOTALL)
    assert found
    return found[1]


@pytest.mark.parametrize(
    ("element", "document"), [("swagger-ui", "openapi.json"), ("asyncapi", "asyncapi.json")]
)
def test_a_page_that_is_not_drawn_links_its_document_and_names_all_hosts(
    element: str, document: str
) -> None:
    answer = wire_page() if element == "asyncapi" else api_page(cast("Any", Asked()))
    page = bytes(answer.body).decode()
    said = text_of(element, page)
    assert f'<a href="{document}">' in said
    scripts = set(re.findall(r'<script src="https://([^/]+)/', page))
    assert scripts
    assert all(host in said for host in scripts)


async def status_of(app: FastAPI, path: str) -> int:
    """What a server would answer first."""
    sent: list[Any] = []
    scope: dict[str, Any] = {
        "type": "http",
        "method": "GET",
        "path": path,
        "headers": [],
        "query_string": b"",
    }

    async def receive() -> Any:
        return {"type": "http.request", "body": b""}

    async def send(message: Any) -> None:
        sent.append(message)

    await app(scope, receive, send)
    return sent[0]["status"]


async def test_pages_and_the_documents_that_they_link_are_served_without_a_token() -> None:
    app = create_api(cast("Any", None), "token")
    for path in ("/docs", "/openapi.json", "/asyncapi", "/asyncapi.json"):
        assert await status_of(app, path) == 200
    assert await status_of(app, "/v1/workers") == 401
    assert await status_of(app, "/redoc") == 404, "it would be blank as well"
