"""What is written for Kubernetes is right by its schemas, and stays what the overlays render."""

import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import kubernetes_validate
import pytest
import yaml

from .cluster import load
from .conftest import RENDERED

ROOT = Path(__file__).parents[2]
PREFMILL = str(Path(sys.executable).with_name("prefmill"))

needs_kubectl = pytest.mark.skipif(
    shutil.which("kubectl") is None, reason="kubectl is not on this machine: nothing is rendered"
)


def check(*more: str) -> subprocess.CompletedProcess[str]:
    orders = [sys.executable, str(ROOT / "deploy" / "manifests.py"), "--check", *more]
    return subprocess.run(orders, capture_output=True, text=True, check=False)


@pytest.mark.slow
def test_what_is_kept_is_valid_and_what_the_overlays_render() -> None:
    done = check()
    assert done.returncode == 0, done.stderr
    assert "Deployment" in done.stdout
    assert "not checked:" in done.stdout, "kinds without a schema are named"


@pytest.mark.slow
def test_a_misspelt_field_is_found(tmp_path: Path) -> None:
    copy = tmp_path / "deploy"
    shutil.copytree(ROOT / "deploy", copy)
    kept = copy / "k8s" / "rendered" / "local.yaml"
    kept.write_text(kept.read_text().replace("terminationGracePeriodSeconds", "terminationGrace"))
    orders = [sys.executable, str(copy / "manifests.py"), "--check"]
    # Without kubectl on its PATH it checks what is kept.
    done = subprocess.run(orders, capture_output=True, text=True, env={"PATH": ""}, check=False)
    assert done.returncode == 1
    assert "terminationGrace" in done.stderr


@pytest.mark.parametrize("overlay", ["local", "gpu", "production"])
def test_every_container_runs_as_nobody_special_on_a_root_it_cannot_write(overlay: str) -> None:
    kinds = ("Deployment", "StatefulSet", "Job")
    templates = [
        d["spec"]["template"]["spec"]
        for d in load(RENDERED / f"{overlay}.yaml")
        if d["kind"] in kinds
    ]
    assert len(templates) > 4
    for spec in templates:
        assert spec["securityContext"]["runAsNonRoot"] is True
        assert spec["automountServiceAccountToken"] is False
        for container in (*spec.get("initContainers", ()), *spec["containers"]):
            security = container["securityContext"]
            assert security["readOnlyRootFilesystem"] is True
            assert security["allowPrivilegeEscalation"] is False
            assert security["capabilities"] == {"drop": ["ALL"]}
            assert container["resources"]["requests"]


@pytest.mark.parametrize("overlay", ["gpu", "production"])
def test_no_secret_stands_in_an_overlay_that_is_meant(overlay: str) -> None:
    kinds = {d["kind"] for d in load(RENDERED / f"{overlay}.yaml")}
    assert "Secret" not in kinds


@pytest.mark.parametrize("overlay", ["gpu", "production"])
def test_every_worker_outlives_its_drain_and_has_a_scaler_of_its_own(overlay: str) -> None:
    objects = load(RENDERED / f"{overlay}.yaml")
    scaled = {
        d["spec"]["scaleTargetRef"]["name"]: d for d in objects if d["kind"] == "ScaledObject"
    }
    lanes = [d for d in objects if "prefmill.dev/lane" in d["metadata"].get("labels", {})]
    workers = [d for d in lanes if d["kind"] == "Deployment"]
    assert {d["metadata"]["name"] for d in workers} == scaled.keys()
    for worker in workers:
        lane = worker["metadata"]["labels"]["prefmill.dev/lane"]
        trigger = scaled[worker["metadata"]["name"]]["spec"]["triggers"][0]["metadata"]
        assert trigger["consumer"] == lane
        spec = worker["spec"]["template"]["spec"]
        env = {each["name"]: each.get("value") for each in spec["containers"][0]["env"]}
        assert spec["terminationGracePeriodSeconds"] > float(str(env["PREFMILL_DRAIN_S"]))


def test_a_gpu_worker_asks_for_its_device_and_may_run_where_it_is() -> None:
    objects = load(RENDERED / "gpu.yaml")
    (zephyr,) = [d for d in objects if d["metadata"]["name"] == "prefmill-generator-zephyr"
                 and d["kind"] == "Deployment"]  # fmt: skip
    spec = zephyr["spec"]["template"]["spec"]
    assert spec["containers"][0]["resources"]["limits"]["nvidia.com/gpu"] == "1"
    assert {"key": "nvidia.com/gpu", "operator": "Exists", "effect": "NoSchedule"} in spec[
        "tolerations"
    ]
    volumes = {volume["name"]: volume for volume in spec["volumes"]}
    assert volumes["hf"] == {
        "name": "hf",
        "persistentVolumeClaim": {"claimName": "prefmill-hf-cache"},
    }


@needs_kubectl
def test_a_model_is_added_by_one_command(tmp_path: Path) -> None:
    shutil.copytree(ROOT / "deploy", tmp_path / "deploy")
    overlay = tmp_path / "deploy" / "k8s" / "overlays" / "local"
    spec = tmp_path / "gemma.yaml"
    spec.write_text("engine: simulated\nmodel: sim-gemma\n")
    for worker, name in (("generator", "gemma"), ("judge", "hawk")):
        orders = [PREFMILL, "deploy", "model", name, str(spec), "--overlay", str(overlay)]
        subprocess.run([*orders, "--worker", worker], check=True, capture_output=True)
    text = subprocess.run(
        ["kubectl", "kustomize", str(overlay)], check=True, capture_output=True, text=True
    ).stdout
    objects = {(d["kind"], d["metadata"]["name"]): d for d in yaml.safe_load_all(text)}
    assert ("Deployment", "prefmill-generator-gemma") in objects
    assert ("Deployment", "prefmill-judge-hawk") in objects
    kept = ("prefmill-models", "prefmill-judges")
    offered = [d for (_, name), d in objects.items() if name.startswith(kept)]
    assert {file for d in offered for file in d["data"]} == {
        "river.yaml", "stone.yaml", "owl.yaml", "gemma.yaml", "hawk.yaml"
    }  # fmt: skip


@needs_kubectl
def test_a_model_gets_as_many_devices_as_it_is_spread_over_and_one_of_an_api_none(
    tmp_path: Path,
) -> None:
    shutil.copytree(ROOT / "deploy", tmp_path / "deploy")
    overlay = tmp_path / "deploy" / "k8s" / "overlays" / "gpu"
    specs = {
        "big": "engine: vllm\nmodel: org/big\ntensor_parallel_size: 2\npipeline_parallel_size: 2\n",
        "far": "engine: openai\nmodel: far\n",
    }
    for name, text in specs.items():
        (tmp_path / "spec.yaml").write_text(text)
        orders = [PREFMILL, "deploy", "model", name, "spec.yaml", "--overlay", str(overlay)]
        subprocess.run(orders, check=True, capture_output=True, cwd=tmp_path)
    orders = ["kubectl", "kustomize", str(overlay)]
    text = subprocess.run(orders, check=True, capture_output=True, text=True).stdout
    pods = {
        d["metadata"]["name"]: d["spec"]["template"]["spec"]
        for d in yaml.safe_load_all(text)
        if d["kind"] == "Deployment"
    }
    big, far = pods["prefmill-generator-big"], pods["prefmill-generator-far"]
    assert big["containers"][0]["resources"]["limits"]["nvidia.com/gpu"] == "4"
    assert {"name": "cache", "mountPath": "/cache"} in big["containers"][0]["volumeMounts"]
    assert "nvidia.com/gpu" not in far["containers"][0]["resources"]["limits"]
    assert "tolerations" not in far
    written = (overlay / "models" / "big" / "kustomization.yaml").read_text()
    kept = (ROOT / "deploy/k8s/overlays/gpu/models/zephyr/kustomization.yaml").read_text()
    same = written.replace("big", "zephyr").replace('gpu: "4"', 'gpu: "1"')
    assert same == kept, "what is kept is what the command writes"


def test_a_judge_with_devices_of_its_own_is_not_deployed_on_an_image_without_vllm(
    tmp_path: Path,
) -> None:
    shutil.copytree(ROOT / "deploy", tmp_path / "deploy")
    overlay = tmp_path / "deploy" / "k8s" / "overlays" / "gpu"
    (tmp_path / "spec.yaml").write_text("engine: vllm\nmodel: org/judge\n")
    orders = [PREFMILL, "deploy", "model", "own", str(tmp_path / "spec.yaml")]
    orders += ["--overlay", str(overlay), "--worker", "judge"]
    done = subprocess.run(orders, capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert "vllm serve" in done.stderr
    assert not (overlay / "judges" / "own").exists()


@pytest.mark.parametrize(
    ("name", "text", "said"),
    [
        ("Gemma_7B", "engine: simulated\nmodel: m\n", "no name for a queue"),
        ("gemma", "engine: simulatd\nmodel: m\n", "did you mean 'simulated'"),
        ("river", "engine: simulated\nmodel: m\n", "is there already"),
    ],
)
def test_a_model_that_could_not_start_is_not_written(
    tmp_path: Path, name: str, text: str, said: str
) -> None:
    shutil.copytree(ROOT / "deploy", tmp_path / "deploy")
    overlay = tmp_path / "deploy" / "k8s" / "overlays" / "local"
    before = (overlay / "kustomization.yaml").read_text()
    spec = tmp_path / "spec.yaml"
    spec.write_text(text)
    orders = [PREFMILL, "deploy", "model", name, str(spec), "--overlay", str(overlay)]
    done = subprocess.run(orders, capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert said in done.stderr
    assert (overlay / "kustomization.yaml").read_text() == before


def overlay_with(component: str, folder: Path) -> list[dict[str, Any]]:
    """The objects of an overlay of one's own that adds a component to `local`."""
    copy = folder / "k8s"
    shutil.copytree(ROOT / "deploy" / "k8s", copy)
    own = copy / "overlays" / "own"
    own.mkdir()
    (own / "kustomization.yaml").write_text(
        "apiVersion: kustomize.config.k8s.io/v1beta1\nkind: Kustomization\n"
        f"namespace: prefmill\nresources: [../local]\ncomponents: [../../components/{component}]\n"
    )
    orders = ["kubectl", "kustomize", str(own)]
    done = subprocess.run(orders, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return [document for document in yaml.safe_load_all(done.stdout) if document]


@needs_kubectl
def test_the_component_of_an_ingress_opens_the_guarded_api_alone_and_with_tls(
    tmp_path: Path,
) -> None:
    objects = overlay_with("ingress", tmp_path)
    (ingress,) = [d for d in objects if d["kind"] == "Ingress"]
    kubernetes_validate.validate(ingress, "1.33", strict=True)  # pyright: ignore[reportUnknownMemberType]
    (rule,) = ingress["spec"]["rules"]
    assert ingress["spec"]["tls"][0]["hosts"] == [rule["host"]]
    (path,) = rule["http"]["paths"]
    assert (path["path"], path["pathType"]) == ("/v1", "Prefix"), "metrics want no token"
    backend = path["backend"]["service"]
    (service,) = [
        d for d in objects if (d["kind"], d["metadata"]["name"]) == ("Service", backend["name"])
    ]
    assert backend["port"]["name"] in {port["name"] for port in service["spec"]["ports"]}


@needs_kubectl
def test_the_component_of_traces_sets_the_variables_of_every_service(tmp_path: Path) -> None:
    objects = overlay_with("traces", tmp_path)
    (settings,) = [
        d for d in objects
        if d["kind"] == "ConfigMap" and d["metadata"]["name"].startswith("prefmill-settings")
    ]  # fmt: skip
    assert settings["data"]["OTEL_EXPORTER_OTLP_ENDPOINT"].endswith(":4318")
    for worker in (d for d in objects if d["kind"] == "Deployment"):
        sources = worker["spec"]["template"]["spec"]["containers"][0]["envFrom"]
        named = [source.get("configMapRef", {}).get("name") for source in sources]
        assert settings["metadata"]["name"] in named


@pytest.mark.parametrize("overlay", ["local", "gpu", "production"])
def test_every_service_has_an_account_of_its_own_that_is_there(overlay: str) -> None:
    objects = load(RENDERED / f"{overlay}.yaml")
    there = {d["metadata"]["name"] for d in objects if d["kind"] == "ServiceAccount"}
    used = {
        d["spec"]["template"]["metadata"]["labels"]["app.kubernetes.io/name"]:
        d["spec"]["template"]["spec"]["serviceAccountName"]
        for d in objects
        if d["kind"] in ("Deployment", "StatefulSet", "Job")
    }  # fmt: skip
    assert used == {app: f"prefmill-{app}" for app in used}
    assert set(used.values()) == there


@pytest.mark.parametrize("overlay", ["gpu", "production"])
def test_a_claim_that_pods_of_several_nodes_mount_may_be_mounted_by_them(overlay: str) -> None:
    objects = load(RENDERED / f"{overlay}.yaml")
    modes = {
        d["metadata"]["name"]: d["spec"]["accessModes"]
        for d in objects
        if d["kind"] == "PersistentVolumeClaim"
    }
    mounted = {
        volume["persistentVolumeClaim"]["claimName"]
        for d in objects
        if d["kind"] == "Deployment"
        for volume in d["spec"]["template"]["spec"]["volumes"]
        if "persistentVolumeClaim" in volume
    }
    assert mounted == modes.keys()
    assert all(modes[name] == ["ReadWriteMany"] for name in mounted)
