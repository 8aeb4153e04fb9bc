"""What stands for images: the services installed here, `nats-server`, and a real `postgres`."""

import ctypes
import os
import shutil
import signal
import socket
import subprocess
import sys
from pathlib import Path

from prefmill.cli.embedded.binaries import nats_program, postgres_folder


def end_with_the_tests() -> None:
    """No container outlives a killed test run."""
    ctypes.CDLL(None).prctl(1, signal.SIGKILL)


def start_container(
    app: str,
    command: list[str],
    env: dict[str, str],
    ip: str,
    mounts: dict[str, Path],
    log: Path,
    folder: Path,
) -> subprocess.Popen[bytes]:
    kept = {name: os.environ[name] for name in ("PATH", "HOME", "LANG") if name in os.environ}
    user: str | None = None
    if app == "nats":
        # A server listens on its pod's address; the file leaves that to the network of the pod.
        command = [str(nats_program()), *command[1:], "--addr", ip]
        if any("routes:" in file.read_text() for file in mounts["/etc/nats"].glob("*.conf")):
            command += ["--cluster", f"nats://{ip}:6222"]
    elif app == "postgres":
        command, user = _postgres(command, env, ip, mounts, folder)
    else:
        assert command[0] == "python"
        command = [sys.executable, *command[1:]]
    with log.open("wb") as out:
        return subprocess.Popen(
            command,
            env=kept | env,
            stdout=out,
            stderr=out,
            cwd=folder,
            start_new_session=True,
            preexec_fn=end_with_the_tests,  # noqa: PLW1509 - nothing here has threads yet
            user=user,
        )


def _postgres(
    command: list[str], env: dict[str, str], ip: str, mounts: dict[str, Path], folder: Path
) -> tuple[list[str], str | None]:
    """What the image's entry point does: a cluster with that user, password and database."""
    programs = postgres_folder()
    data = Path(env["PGDATA"])
    run = next(path for mount, path in mounts.items() if mount == "/var/run/postgresql")
    other = "nobody" if os.geteuid() == 0 else None
    if other:
        for path in (data.parent, run, folder):
            shutil.chown(path, "nobody")
    password = folder / "password"
    password.write_text(env["POSTGRES_PASSWORD"])
    if other:
        shutil.chown(password, "nobody")
    user = env["POSTGRES_USER"]
    if not data.exists():
        subprocess.run(
            [
                *(programs / "initdb", "-D", data, "-U", user, "--pwfile", password),
                *("--auth-host=scram-sha-256", "--auth-local=trust", "--no-sync"),
                *("--locale=C", "-E", "UTF8"),
            ],
            check=True, capture_output=True, user=other,
        )  # fmt: skip
        alone = ["--single", "-D", str(data), "postgres"]
        subprocess.run(
            [str(programs / "postgres"), *alone],
            input=f'CREATE DATABASE "{env["POSTGRES_DB"]}"\n'.encode(),
            check=True, capture_output=True, user=other,
        )  # fmt: skip
    return [
        *(str(programs / "postgres"), "-D", str(data), *command),
        *("-c", f"listen_addresses={ip}", "-c", "unix_socket_directories="),
        *("-c", "fsync=off"),
    ], other


def pg_isready(ip: str) -> tuple[bool, str]:
    try:
        with socket.create_connection((ip, 5432), timeout=2):
            return True, "accepting connections"
    except OSError as error:
        return False, str(error)
