"""`make manifests`: renders the overlays, and checks them strictly against their schemas.

Kubernetes' own kinds are checked with the schemas of `kubernetes-validate`; the kinds of KEDA and
of the Prometheus operator with JSON Schemas of a folder (`--crds DIR`, files KIND_VERSION.json),
which are not part of this project. What could not be checked is said, kind by kind.

The rendered overlays are kept in `deploy/k8s/rendered`, so that everybody can read what is applied,
and run it (tests/deploy), without kubectl.
"""

import argparse
import json
import shutil
import subprocess
import sys
import warnings
from collections import Counter
from pathlib import Path
from typing import Any, Final

import yaml

ROOT: Final = Path(__file__).parent / "k8s"
OVERLAYS: Final = ("local", "gpu", "production")
KUBERNETES: Final = "1.33"

Document = dict[str, Any]


def render(overlay: str) -> str:
    """The overlay as `kubectl apply -k` would send it."""
    orders = ["kubectl", "kustomize", str(ROOT / "overlays" / overlay)]
    return subprocess.run(orders, check=True, capture_output=True, text=True).stdout


def documents(text: str) -> list[Document]:
    """The objects of a rendered overlay."""
    return [document for document in yaml.safe_load_all(text) if document]


def name_of(document: Document) -> str:
    """`Deployment/prefmill-sink`."""
    return f"{document['kind']}/{document['metadata']['name']}"


class Checker:
    """Checks objects one by one; `problems` are lines, `unchecked` counts kinds without schema."""

    def __init__(self, crds: Path | None) -> None:
        self._crds = crds
        self.problems: list[str] = []
        self.checked: Counter[str] = Counter()
        self.unchecked: Counter[str] = Counter()

    def check(self, document: Document) -> None:
        """Check one object by the schema of its kind."""
        own = self._schema(document)
        if own is not None:
            self._by_json_schema(document, own)
        elif (
            "." in document["apiVersion"].split("/")[0] and ".k8s.io" not in document["apiVersion"]
        ):
            self.unchecked[document["kind"]] += 1
        else:
            self._by_kubernetes(document)

    def _schema(self, document: Document) -> Document | None:
        if self._crds is None or "/" not in document["apiVersion"]:
            return None
        version = document["apiVersion"].split("/")[1]
        file = self._crds / "jsonschema" / f"{document['kind'].lower()}_{version}.json"
        return json.loads(file.read_text()) if file.exists() else None

    def _by_json_schema(self, document: Document, schema: Document) -> None:
        import jsonschema

        validator = jsonschema.Draft202012Validator(schema)
        for error in validator.iter_errors(document):  # pyright: ignore[reportUnknownMemberType]
            self.problems.append(f"{name_of(document)}: {error.json_path}: {error.message}")
        self.checked[document["kind"]] += 1

    def _by_kubernetes(self, document: Document) -> None:
        import kubernetes_validate

        try:
            with warnings.catch_warnings():
                warnings.simplefilter("error")
                kubernetes_validate.validate(document, KUBERNETES, strict=True)  # pyright: ignore[reportUnknownMemberType]
        except Exception as error:  # noqa: BLE001 - its own kinds share no base
            self.problems.append(f"{name_of(document)}: {error}")
        self.checked[document["kind"]] += 1


def main() -> int:
    """0 if everything that could be checked is right, else 1."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--crds", type=Path, help="folder with jsonschema/KIND_VERSION.json")
    parser.add_argument("--check", action="store_true", help="compare with what is kept")
    arguments = parser.parse_args()
    crds = arguments.crds if arguments.crds and arguments.crds.is_dir() else None
    checker = Checker(crds)
    for overlay in OVERLAYS:
        for document in documents(_rendered(overlay, checker, check=arguments.check)):
            checker.check(document)
    return _tell(checker, crds)


def _rendered(overlay: str, checker: Checker, *, check: bool) -> str:
    kept = ROOT / "rendered" / f"{overlay}.yaml"
    if shutil.which("kubectl") is None:
        print(f"{overlay}: kubectl is not here: checking what is kept, not that it is current")
        return kept.read_text()
    text = render(overlay)
    if not check:
        kept.parent.mkdir(exist_ok=True)
        kept.write_text(text)
    elif not kept.exists() or kept.read_text() != text:
        checker.problems.append(f"{kept.name}: not what the overlay renders; run `make manifests`")
    return text


def _tell(checker: Checker, crds: Path | None) -> int:
    checked = ", ".join(f"{count} {kind}" for kind, count in sorted(checker.checked.items()))
    print(f"checked: {checked}")
    if checker.unchecked:
        left = ", ".join(f"{n} {kind}" for kind, n in sorted(checker.unchecked.items()))
        why = "no schema of them is there" if crds else "give their schemas with CRDS=DIR"
        print(f"not checked: {left} ({why})")
    for problem in checker.problems:
        print(f"error: {problem}", file=sys.stderr)
    return 1 if checker.problems else 0


if __name__ == "__main__":
    sys.exit(main())
