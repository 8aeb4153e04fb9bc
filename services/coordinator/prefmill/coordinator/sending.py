"""Routes for files that `prefmill submit` sends along."""

import shutil
from typing import Annotated, Final

from fastapi import APIRouter, HTTPException, Path, Request

from prefmill.contracts.api import Upload
from prefmill.coordinator.uploads import TooLarge, Uploads

sending: Final = APIRouter()

Sha256 = Annotated[str, Path(pattern="^[0-9a-f]{64}$")]


@sending.post("/uploads")
async def upload(request: Request) -> Upload:
    """Keep the body, whatever its length, under the hash of its content."""
    uploads = _uploads(request)
    length = request.headers.get("content-length", "")
    if length.isdecimal():
        _check_room(uploads, int(length))
    try:
        return await uploads.store(request.stream())
    except TooLarge as error:
        raise _too_large(uploads) from error
    except OSError as error:
        raise HTTPException(507, f"{uploads.folder} cannot take it: {error.strerror}") from error


@sending.head("/uploads/{sha256}", include_in_schema=False)
@sending.get("/uploads/{sha256}")
async def uploaded(sha256: Sha256, request: Request) -> Upload:
    """Whether a file of this hash is here: it need not be sent again."""
    found = _uploads(request).find(sha256)
    if found is None:
        raise HTTPException(404, "there is no upload of this hash")
    return found


def _uploads(request: Request) -> Uploads:
    return request.app.state.actions.conductor.uploads


def _check_room(uploads: Uploads, length: int) -> None:
    if length > uploads.limit:
        raise _too_large(uploads)
    there = next(folder for folder in (uploads.folder, *uploads.folder.parents) if folder.exists())
    if length > shutil.disk_usage(there).free:
        raise HTTPException(507, f"{there} has no room for {length} bytes more")


def _too_large(uploads: Uploads) -> HTTPException:
    return HTTPException(
        413,
        f"an upload may have {uploads.limit} bytes (PREFMILL_UPLOAD_BYTES); split the file, or "
        "read it from the Hub",
    )
