"""Runs rendered manifests as processes on this machine, as a kubelet would run their containers.

What is written is what runs: commands, environment, config maps, secrets, probes and ports. Three
things stand in for a cluster. Each pod has a loopback address of its own, and names of services
become addresses of their pods. Mounted volumes are folders, and their paths become the folders'.
Images are what is installed here: the services' own distributions, `nats-server`, `postgres`.
"""

import base64
import re
import signal
import subprocess
import time
import urllib.error
import urllib.request
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from itertools import count
from pathlib import Path
from typing import Any

import yaml

from .images import pg_isready, start_container

Document = dict[str, Any]
LABEL = "app.kubernetes.io/name"


@dataclass
class Pod:
    """One running container, with its address."""

    name: str
    labels: dict[str, str]
    ip: str
    folder: Path
    container: Document
    process: subprocess.Popen[bytes]
    log: Path
    ports: dict[str, int] = field(default_factory=dict[str, int])

    @property
    def app(self) -> str:
        return self.labels[LABEL]

    def probe(self, kind: str) -> tuple[bool, str]:
        """Whether a probe of the container passes, and what it said."""
        probe = self.container[f"{kind}Probe"]
        if "exec" in probe:
            return pg_isready(self.ip)
        get = probe["httpGet"]
        port = self.ports.get(str(get["port"]), get["port"])
        try:
            with urllib.request.urlopen(f"http://{self.ip}:{port}{get['path']}", timeout=5) as got:
                return True, got.read().decode()
        except urllib.error.HTTPError as error:
            return False, error.read().decode()
        except OSError as error:
            return False, str(error)

    def said(self) -> str:
        return self.log.read_text(errors="replace")


class Cluster:
    """The objects of one rendered overlay, and the pods started of them."""

    def __init__(self, documents: Sequence[Document], folder: Path, subnet: int) -> None:
        self.objects = {(d["kind"], d["metadata"]["name"]): d for d in documents}
        self.folder = folder
        self.pods: list[Pod] = []
        self._addresses = (f"127.77.{subnet}.{n}" for n in count(10))
        self._stable: dict[str, str] = {}
        self._claims = folder / "claims"

    def of(self, *kinds: str) -> list[Document]:
        return [d for (kind, _), d in self.objects.items() if kind in kinds]

    def object(self, kind: str, name: str) -> Document:
        return self.objects[kind, name]

    def start(self, kind: str, name: str, ordinal: int = 0) -> Pod:
        """One pod of a workload; of a stateful one, the pod of that number."""
        workload = self.object(kind, name)
        template = workload["spec"]["template"]
        spec = template["spec"]
        return self._run(workload, template, spec["containers"][0], name, ordinal)

    def run_job(self, name: str, seconds: float = 60) -> list[str]:
        """A job's init containers, then its container, each to its end; what they said."""
        job = self.object("Job", name)
        template = job["spec"]["template"]
        said: list[str] = []
        for container in (
            *template["spec"].get("initContainers", ()),
            *template["spec"]["containers"],
        ):
            pod = self._run(job, template, container, f"{name}-{container['name']}")
            code = pod.process.wait(seconds)
            said.append(pod.said())
            assert code == 0, pod.said()
        return said

    def stop(self, pods: Iterable[Pod] | None = None, seconds: float = 30) -> None:
        """SIGTERM, then SIGKILL for what is still there after the pods' grace period or ours."""
        going = [pod for pod in (self.pods if pods is None else pods) if pod.process.poll() is None]
        for pod in going:
            pod.process.send_signal(signal.SIGINT if pod.app == "postgres" else signal.SIGTERM)
        deadline = time.monotonic() + seconds
        for pod in going:
            try:
                pod.process.wait(max(0.1, deadline - time.monotonic()))
            except subprocess.TimeoutExpired:
                pod.process.kill()
                pod.process.wait()

    def until_ready(self, pods: Iterable[Pod], seconds: float = 60) -> None:
        """Wait until startup and readiness probes of all pods pass."""
        deadline = time.monotonic() + seconds
        for pod in pods:
            while True:
                answers = [pod.probe(kind) for kind in ("startup", "readiness", "liveness")]
                if all(passed for passed, _ in answers):
                    break
                assert pod.process.poll() is None, f"{pod.name} ended: {pod.said()}"
                assert time.monotonic() < deadline, f"{pod.name}: {answers}\n{pod.said()}"
                time.sleep(0.1)

    def address(self, service: str) -> str:
        """The address of the one pod behind a service."""
        selector = self.object("Service", service)["spec"]["selector"]
        return self._stable.setdefault(selector[LABEL], next(self._addresses))

    def pod_addresses(self) -> dict[str, str]:
        """`POD.SERVICE` → address, of all pods of stateful workloads that have several."""
        return {
            f"{name}-{number}.{stateful['spec']['serviceName']}": self._member(stateful, number)
            for stateful in self.of("StatefulSet")
            for name in (stateful["metadata"]["name"],)
            if (replicas := stateful["spec"].get("replicas", 1)) > 1
            for number in range(replicas)
        }

    def _member(self, stateful: Document, number: int) -> str:
        """The address of one pod of a stateful workload; the first is also its service's."""
        app = stateful["spec"]["template"]["metadata"]["labels"][LABEL]
        key = f"{app}-{number}" if number else app
        return self._stable.setdefault(key, next(self._addresses))

    def _run(
        self,
        workload: Document,
        template: Document,
        container: Document,
        name: str,
        ordinal: int = 0,
    ) -> Pod:
        labels = template["metadata"]["labels"]
        app = labels[LABEL]
        served = {s["spec"]["selector"][LABEL] for s in self.of("Service")}
        alone = app in served
        ip = self._stable.setdefault(app, next(self._addresses)) if alone else next(self._addresses)
        pod_name = f"{name}-{ip[-3:]}"
        if workload["kind"] == "StatefulSet":
            ip, pod_name = self._member(workload, ordinal), f"{name}-{ordinal}"
        folder = self.folder / f"{pod_name}-{len(self.pods)}"
        folder.mkdir(parents=True)
        mounts = self._mounts(workload, template["spec"], container, folder, ordinal)
        world = _World(self, mounts, ip)
        env = self._environment(container, pod_name, labels, world)
        for path in mounts.values():
            _rewrite(path, world)
        command = [
            world.here(part) for part in (*container.get("command", ()), *container.get("args", ()))
        ]
        log = folder / "log"
        process = start_container(app, command, env, ip, mounts, log, folder)
        ports = {p["name"]: p["containerPort"] for p in container.get("ports", ())}
        pod = Pod(pod_name, labels, ip, folder, container, process, log, ports)
        self.pods.append(pod)
        return pod

    def _mounts(
        self,
        workload: Document,
        spec: Document,
        container: Document,
        folder: Path,
        ordinal: int,
    ) -> dict[str, Path]:
        """Mount path → folder that stands for it."""
        volumes = {v["name"]: v for v in spec.get("volumes", ())}
        claims = {t["metadata"]["name"] for t in workload["spec"].get("volumeClaimTemplates", ())}
        mounts: dict[str, Path] = {}
        for mount in container.get("volumeMounts", ()):
            name = mount["name"]
            if name in claims:
                path = self._claims / f"{workload['metadata']['name']}-{ordinal}-{name}"
            else:
                path = self._volume(volumes[name], folder / "volumes" / name)
            path.mkdir(parents=True, exist_ok=True)
            mounts[mount["mountPath"]] = path
        return mounts | _parents(container, mounts, folder / "root")

    def _volume(self, volume: Document, path: Path) -> Path:
        if claim := volume.get("persistentVolumeClaim"):
            assert ("PersistentVolumeClaim", claim["claimName"]) in self.objects
            return self._claims / claim["claimName"]
        path.mkdir(parents=True)
        sources = volume["projected"]["sources"] if "projected" in volume else [volume]
        for source in sources:
            if found := source.get("configMap"):
                self._files(path, "ConfigMap", found)
            elif found := source.get("secret"):
                self._files(path, "Secret", {"name": found["secretName"], **found})
            else:
                assert "emptyDir" in source, source
        return path

    def _files(self, path: Path, kind: str, source: Document) -> None:
        if source.get("optional") and (kind, source["name"]) not in self.objects:
            return
        for name, text in self._data(kind, source["name"]).items():
            (path / name).write_text(text)

    def _data(self, kind: str, name: str) -> dict[str, str]:
        found = self.object(kind, name)
        plain = {**found.get("data", {})}
        if kind == "Secret":
            plain = {key: base64.b64decode(value).decode() for key, value in plain.items()}
        return plain | found.get("stringData", {})

    def _environment(
        self, container: Document, pod: str, labels: dict[str, str], world: "_World"
    ) -> dict[str, str]:
        """As Kubernetes makes it: `envFrom` first, then `env`, with $(NAME) of what came before."""
        env: dict[str, str] = {}
        for source in container.get("envFrom", ()):
            kind = "ConfigMap" if "configMapRef" in source else "Secret"
            reference = source["configMapRef" if kind == "ConfigMap" else "secretRef"]
            if reference.get("optional") and (kind, reference["name"]) not in self.objects:
                continue
            env |= self._data(kind, reference["name"])
        for each in container.get("env", ()):
            value = self._value(each, pod, labels)
            if value is not None:
                env[each["name"]] = re.sub(
                    r"\$\((\w+)\)", lambda found: env.get(found[1], found[0]), value
                )
        return {name: world.here(value) for name, value in env.items()}

    def _value(self, each: Document, pod: str, labels: dict[str, str]) -> str | None:
        if "value" in each:
            return each["value"]
        source = each["valueFrom"]
        if field_ref := source.get("fieldRef"):
            path = field_ref["fieldPath"]
            return pod if path == "metadata.name" else labels[path.split("'")[1]]
        kind, reference = (
            ("Secret", source["secretKeyRef"])
            if "secretKeyRef" in source
            else ("ConfigMap", source["configMapKeyRef"])
        )
        if reference.get("optional") and (kind, reference["name"]) not in self.objects:
            return None
        return self._data(kind, reference["name"])[reference["key"]]


def _parents(container: Document, mounts: dict[str, Path], root: Path) -> dict[str, Path]:
    """Folders that an environment names and in which volumes are mounted."""
    named = {each["value"] for each in container.get("env", ()) if "value" in each}
    found: dict[str, Path] = {}
    for parent in named - mounts.keys():
        inside = {path: folder for path, folder in mounts.items() if path.startswith(f"{parent}/")}
        for path, folder in inside.items():
            link = root / path.strip("/")
            link.parent.mkdir(parents=True, exist_ok=True)
            link.symlink_to(folder)
            found[parent] = root / parent.strip("/")
    return found


class _World:
    """What names and paths of the cluster are on this machine, for one pod."""

    def __init__(self, cluster: Cluster, mounts: dict[str, Path], ip: str) -> None:
        names = {s["metadata"]["name"]: s for s in cluster.of("Service")}
        self._addresses = {name: cluster.address(name) for name in names}
        self._pods = cluster.pod_addresses()
        self._mounts = mounts
        longest_first = "|".join(sorted(map(re.escape, mounts), key=len, reverse=True))
        self._paths = re.compile(rf"(?<![\w/.-])(?:{longest_first or '(?!)'})(?=/|$|[\s\"'])")
        self._ip = ip

    def here(self, text: str) -> str:
        text = text.replace("0.0.0.0", self._ip)  # noqa: S104 - the address is taken out
        for name, address in self._pods.items():
            text = re.sub(rf"(?<![\w-]){re.escape(name)}(?=:\d)", address, text)
        for name, address in self._addresses.items():
            text = re.sub(rf"(?<![\w-]){name}(\.[\w.-]+)?(?=:\d)", address, text)
        return self._paths.sub(lambda found: str(self._mounts[found[0]]), text)


def _rewrite(folder: Path, world: _World) -> None:
    for file in folder.glob("*"):
        if file.is_file() and file.suffix in (".conf", ".yaml"):
            file.write_text(world.here(file.read_text()))


def load(path: Path) -> list[Document]:
    return [document for document in yaml.safe_load_all(path.read_text()) if document]
