"""The production overlay's NATS as rendered: three servers, TLS, an account with a user for each
service, every stream three times. One server is killed in the middle of a run, and nothing is lost.

What is substituted: addresses are of this machine's loopback, so the certificate names them too;
Postgres, which production has elsewhere, is the local overlay's; the models, which want GPUs and an
API, are simulated ones under the same names.
"""

import asyncio
import json
import ssl
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import nats
import nats.errors
import pytest
import trustme

from .api import Api
from .cluster import Cluster, Document, Pod, load
from .conftest import RENDERED, subnet

pytestmark = [pytest.mark.slow, pytest.mark.timeout(400)]

ROWS = 400
RECIPE: dict[str, Any] = {
    "name": "three-servers",
    "seed": 3,
    "source": {"inline": [f"What is {n} times seven, and why?" for n in range(ROWS)]},
    "models": ["zephyr", "notus"],
    "generate": {"params": {"max_tokens": 64}},
    "judges": ["haiku"],
    "judge": {"rubric": {"ultrafeedback": ["honesty"]}},
    "output": {"formats": ["raw"]},
}
SIMULATED = "engine: simulated\nmodel: {name}\nlatency_ms: 200\nconcurrency: 16\n"
SECRETS = ("prefmill-nats-users", "prefmill-database", "prefmill-api")


def stand_ins() -> list[Document]:
    """Secrets and a Postgres, of the local overlay."""
    found: list[Document] = []
    for document in load(RENDERED / "local.yaml"):
        name = document["metadata"]["name"]
        plain = next((secret for secret in SECRETS if name.startswith(f"{secret}-")), name)
        if document["kind"] == "Secret":
            document["metadata"]["name"] = plain
            found += [document, {**document, "metadata": {**document["metadata"], "name": name}}]
        elif name.startswith("prefmill-postgres"):
            found.append(document)
    return found


def simulated(documents: list[Document]) -> list[Document]:
    """The objects, with a simulated engine wherever a model is configured."""
    for document in documents:
        if document["kind"] == "ConfigMap":
            for file in document.get("data", {}):
                if file in ("zephyr.yaml", "notus.yaml", "haiku.yaml"):
                    document["data"][file] = SIMULATED.format(name=file.removesuffix(".yaml"))
    return documents


def certificates(cluster: Cluster, authority: trustme.CA) -> Document:
    """What cert-manager makes of the overlay's Certificate, for these addresses as well."""
    (wanted,) = cluster.of("Certificate")
    addresses = sorted(set(cluster.pod_addresses().values()))
    made = authority.issue_cert(*wanted["spec"]["dnsNames"], *addresses)
    return {
        "kind": "Secret",
        "metadata": {"name": wanted["spec"]["secretName"]},
        "stringData": {
            "ca.crt": authority.cert_pem.bytes().decode(),
            "tls.crt": made.cert_chain_pems[0].bytes().decode(),
            "tls.key": made.private_key_pem.bytes().decode(),
        },
    }


@pytest.fixture(scope="module")
def authority() -> trustme.CA:
    return trustme.CA()


@pytest.fixture(scope="module")
def production(folder: Path, authority: trustme.CA) -> Iterator[Cluster]:
    documents = simulated(load(RENDERED / "production.yaml")) + stand_ins()
    cluster = Cluster(documents, folder / "production", subnet())
    cluster.folder.mkdir(mode=0o711)
    secret = certificates(cluster, authority)
    cluster.objects["Secret", secret["metadata"]["name"]] = secret
    try:
        replicas = cluster.object("StatefulSet", "prefmill-nats")["spec"]["replicas"]
        servers = [cluster.start("StatefulSet", "prefmill-postgres")]
        servers += [cluster.start("StatefulSet", "prefmill-nats", n) for n in range(replicas)]
        cluster.until_ready(servers, 90)
        cluster.run_job("prefmill-setup", 120)
        yield cluster
    finally:
        cluster.stop()


def nats_pods(cluster: Cluster) -> list[Pod]:
    return [pod for pod in cluster.pods if pod.app == "nats" and pod.process.poll() is None]


def streams(cluster: Cluster) -> dict[str, Document]:
    """Name → what a server says of the stream: its configuration, its leader, its copies."""
    address = nats_pods(cluster)[0].ip
    query = "acc=PREFMILL&streams=true&config=true"
    with urllib.request.urlopen(f"http://{address}:8222/jsz?{query}", timeout=10) as answer:
        accounts = json.load(answer)["account_details"]
    return {found["name"]: found for each in accounts for found in each.get("stream_detail", ())}


def users(cluster: Cluster) -> dict[str, str]:
    data = cluster._data("Secret", "prefmill-nats-users")  # noqa: SLF001 - the secret as mounted
    return {
        name.removeprefix("NATS_").removesuffix("_PASSWORD").lower(): password
        for name, password in data.items()
    }


def test_every_stream_has_three_copies_on_disk_and_a_leader(production: Cluster) -> None:
    found = streams(production)
    assert found.keys() == {"GENERATE", "JUDGE", "RESULTS", "DEAD", "ADVISORIES"}
    for stream in found.values():
        assert stream["config"]["num_replicas"] == 3
        assert stream["config"]["storage"] == "file"
        assert stream["cluster"]["leader"].startswith("prefmill-nats-")
        assert len(stream["cluster"]["replicas"]) == 2


async def test_nobody_enters_in_the_clear_or_by_another_s_name(
    production: Cluster, authority: trustme.CA
) -> None:
    address = f"{nats_pods(production)[0].ip}:4222"
    context = ssl.create_default_context()
    authority.configure_trust(context)
    said: asyncio.Queue[str] = asyncio.Queue()

    async def note(error: Exception) -> None:
        said.put_nowait(str(error))

    options: dict[str, Any] = {"allow_reconnect": False, "error_cb": note}
    with pytest.raises((ssl.SSLError, nats.errors.Error)):
        await nats.connect(f"nats://judge:wrong@{address}", tls=context, **options)
    with pytest.raises((ssl.SSLError, nats.errors.Error)):
        await nats.connect(
            f"nats://judge:{users(production)['judge']}@{address}",
            tls=ssl.create_default_context(),
            **options,
        )
    said = asyncio.Queue()
    judge = f"nats://judge:{users(production)['judge']}@{address}"
    client = await nats.connect(judge, tls=context, **options)
    await client.publish("generate.v1.zephyr", b"{}")
    async with asyncio.timeout(20):  # a ping may go out before what was published
        assert "permissions violation" in (await said.get()).lower()
    await client.close()


def test_a_server_is_killed_in_the_middle_of_a_run_and_nothing_is_lost(production: Cluster) -> None:
    workloads = [d["metadata"]["name"] for d in production.of("Deployment")]
    assert len(workloads) == 5
    pods = [production.start("Deployment", name) for name in workloads]
    production.until_ready(pods, 180)
    token = production._data("Secret", "prefmill-api")["token"]  # noqa: SLF001 - as mounted
    api = Api(f"http://{production.address('prefmill-coordinator')}:8400", token)
    killed: list[str] = []

    def kill_once_something_is_stored() -> None:
        """The leader of the results' stream, without a word."""
        if not killed and stored(api, run["id"]) > ROWS // 2:
            leader = streams(production)["RESULTS"]["cluster"]["leader"]
            (pod,) = [pod for pod in nats_pods(production) if pod.name == leader]
            pod.process.kill()
            pod.process.wait()
            killed.append(pod.name)

    run = api("/v1/runs", {"recipe": RECIPE})
    status = api.finish(run["id"], kill_once_something_is_stored, 240)
    assert killed, "the run was faster than the killing"
    assert status["state"] == "finished", status
    assert api("/v1/dead") == []
    rows = api(f"/v1/runs/{run['id']}/rows?limit=1000")["rows"]
    assert len(rows) == ROWS
    assert all(len(row["cells"]) == 3 for row in rows), "two answers and a verdict each"
    assert all(pod.process.poll() is None for pod in pods), "no service ended"


def stored(api: Api, run: int) -> int:
    """Answers and verdicts that are in the ledger."""
    return sum(slot["done"] for slot in api(f"/v1/runs/{run}")["slots"])
