"""An exported folder as one file to download."""

import tarfile
import tempfile
from pathlib import Path

from fastapi.responses import FileResponse
from starlette.background import BackgroundTask


def archive(name: str, folder: Path) -> FileResponse:
    """The folder as a tar file that is removed when it has been sent. Blocking."""
    with (
        tempfile.NamedTemporaryFile(suffix=".tar", delete=False) as target,
        tarfile.open(fileobj=target, mode="w") as tar,
    ):
        tar.add(folder, arcname=name, filter=_visible)
    path = Path(target.name)
    return FileResponse(path, filename=f"{name}.tar", background=BackgroundTask(path.unlink))


def _visible(member: tarfile.TarInfo) -> tarfile.TarInfo | None:
    hidden = any(part.startswith(".") for part in Path(member.name).parts[1:])
    return None if hidden else member
