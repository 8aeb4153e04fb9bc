"""Pages that describe the API and the wire to people, and the documents that they show.

A browser gets what draws them from a CDN, by the pages of FastAPI and FastStream. One that cannot
reach it shows what the page says until it is drawn: where the document is.
"""

from typing import Final

from fastapi import APIRouter, Request
from fastapi.openapi.docs import get_swagger_ui_html
from fastapi.responses import HTMLResponse, JSONResponse

pages: Final = APIRouter(include_in_schema=False)

_UNDRAWN: Final = (
    "<p>Your browser draws this page with scripts from {cdn}. If you can read this, it could not "
    'get them: <a href="{document}">{document}</a> holds all that the page would show. Open that '
    "file in a viewer that you have ({viewers}).</p>"
)


@pages.get("/docs")
def api_page(request: Request) -> HTMLResponse:
    """The HTTP API, for people; programs read `/openapi.json`."""
    html = get_swagger_ui_html(openapi_url="openapi.json", title=request.app.title).body
    viewers = "Swagger UI, Redoc, most editors"
    page = bytes(html).decode()
    return HTMLResponse(undrawn(page, "swagger-ui", "cdn.jsdelivr.net", "openapi.json", viewers))


@pages.get("/asyncapi")
def wire_page() -> HTMLResponse:
    """What the parts say to each other over NATS, for people; `/docs` is the same of this API."""
    from prefmill.messaging.asyncapi import page

    viewers = "AsyncAPI Studio, its extensions for editors"
    return HTMLResponse(undrawn(page(), "asyncapi", "unpkg.com", "asyncapi.json", viewers))


@pages.get("/asyncapi.json")
def wire_document() -> JSONResponse:
    """The same for programs."""
    from prefmill.messaging.asyncapi import document

    return JSONResponse(document())


def undrawn(page: str, box: str, cdn: str, document: str, viewers: str) -> str:
    """The page with words in the element of that id, which whatever draws it replaces."""
    said = _UNDRAWN.format(cdn=cdn, document=document, viewers=viewers)
    before, opened, after = page.partition(f'<div id="{box}">')
    return f"{before}{opened}{said}{after}"
