"""Datasets in object stores: whole, resumed, and only what is ours is replaced."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any, ClassVar

import fsspec
import pytest

from prefmill.sink.destinations.disk import DestinationError
from prefmill.sink.destinations.stores import MARKER, StoreDestination, StoreOptions, files_in

FILES = {"raw/train-00000.parquet": "one", "README.md": "card", "run.json": "{}"}


@pytest.fixture
def store() -> Iterator[Any]:
    fs: Any = fsspec.filesystem("memory")
    fs.store.clear()
    yield fs
    fs.store.clear()


def dataset(folder: Path, files: dict[str, str] = FILES) -> Path:
    for name, text in {**files, ".prefmill-export/lock": ""}.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text)
    return folder


def publish(folder: Path, to: str = "memory://bucket/prefix/") -> str:
    return StoreDestination(StoreOptions.model_validate({"files": to})).publish(folder)


def shown(fs: Any, root: str = "/bucket/prefix") -> dict[str, str]:
    names = [path.removeprefix(f"{root}/") for path in fs.find(root)]
    return {n: fs.cat_file(f"{root}/{n}").decode() for n in names if not n.startswith(".")}


def test_a_dataset_is_put_without_what_is_hidden(store: Any, tmp_path: Path) -> None:
    assert publish(dataset(tmp_path)) == "memory://bucket/prefix"
    assert shown(store) == FILES
    assert not [path for path in store.find("/bucket") if path.endswith(".part")]


def test_card_and_manifest_come_last(tmp_path: Path) -> None:
    assert list(files_in(dataset(tmp_path)))[-2:] == ["run.json", "README.md"]


def test_a_changed_dataset_replaces_what_was_ours_and_leaves_the_rest(
    store: Any, tmp_path: Path
) -> None:
    publish(dataset(tmp_path / "a"))
    store.pipe_file("/bucket/prefix/notes.txt", b"mine")
    changed = {"trl/train-00000.parquet": "two", "README.md": "card 2", "run.json": "{}"}
    publish(dataset(tmp_path / "b", changed))
    assert shown(store) == {**changed, "notes.txt": "mine"}
    assert set(json.loads(store.cat_file(f"/bucket/prefix/{MARKER}"))["files"]) == set(changed)


def test_a_place_with_other_files_is_left_alone(store: Any, tmp_path: Path) -> None:
    store.pipe_file("/bucket/prefix/thesis.tex", b"mine")
    with pytest.raises(DestinationError, match="files that prefmill did not write"):
        publish(dataset(tmp_path))
    assert shown(store) == {"thesis.tex": "mine"}


class Breaking(type(fsspec.filesystem("memory"))):  # type: ignore[misc]
    """A store that fails after so many files."""

    protocol = "breaking"
    left = 0
    put: ClassVar[list[str]] = []

    def put_file(self, lpath: str, rpath: str, *args: Any, **more: Any) -> None:
        if Breaking.left == 0:
            raise ConnectionError("the store hung up")
        Breaking.left -= 1
        Breaking.put.append(rpath.rpartition("/")[2])
        super().put_file(lpath, rpath, *args, **more)


def test_a_put_that_broke_goes_on_where_it_was(store: Any, tmp_path: Path) -> None:
    fsspec.register_implementation("breaking", Breaking, clobber=True)
    Breaking.left, Breaking.put = 2, []
    folder = dataset(tmp_path)
    with pytest.raises(DestinationError, match=r"breaking://b: ConnectionError: the store hung up"):
        publish(folder, "breaking://b")
    assert len(Breaking.put) == 2
    Breaking.left = 9
    publish(folder, "breaking://b")
    assert len(Breaking.put) == 3, "the two that were put are not put again"


def test_what_is_missing_is_said_with_how_to_install_it(tmp_path: Path) -> None:
    try:
        import s3fs  # type: ignore[import-not-found]  # noqa: F401
    except ImportError:
        with pytest.raises(DestinationError, match=r"s3 needs s3fs \(pip install"):
            publish(dataset(tmp_path), "s3://bucket/prefix")
    with pytest.raises(DestinationError, match="write s3://bucket/prefix"):
        publish(dataset(tmp_path), "nothing-known://bucket")


def test_a_folder_of_another_file_system_is_a_store_too(tmp_path: Path) -> None:
    publish(dataset(tmp_path / "made"), f"file://{tmp_path}/there")
    assert {n: p.read_text() for n, p in files_in(tmp_path / "there").items()} == FILES
