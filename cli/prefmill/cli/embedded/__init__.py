"""The embedded stack's two servers: a real NATS and a real Postgres in one folder.

In comes a folder (`.prefmill/`, or `PREFMILL_HOME`); out go the Postgres DSN and the NATS URL of
servers that run for as long as the process that started them, and not a moment longer: a parent
killed with -9 takes both along. The package starts, watches and stops; it never creates a table or
a stream, never imports a client library, and never listens beyond loopback.

How Postgres is run as root. Postgres refuses to be root, and as root a home often lies under a
folder that nobody else may enter (`/root` is 0700), as may the binaries. Opening those folders
would be wrong, moving the data elsewhere surprising. So the child that is about to become Postgres
hands `postgres/` in the home to the user `nobody` (or leaves it to the ordinary user who owns it),
becomes that user, and keeps one capability of root's, CAP_DAC_OVERRIDE, as an ambient one: with it
Postgres passes through 0700 folders as root would. No mode is changed anywhere, no owner outside
`postgres/`. A plain root shell and Docker's default set of capabilities both allow this (a user
namespace, the other way, is what Docker's default profile forbids). As an ordinary user nothing of
this happens.

What is in a home: `VERSION` (our layout), `lock`, `postgres/data`, `nats/`, `run/` (the socket),
`logs/`.
"""

from prefmill.cli.embedded.errors import EmbeddedError
from prefmill.cli.embedded.home import Home
from prefmill.cli.embedded.nats import Nats, launch_nats, start_nats
from prefmill.cli.embedded.postgres import Postgres, launch_postgres, start_postgres
from prefmill.cli.embedded.stack import Servers, launch_all, start_all

__all__ = [
    "EmbeddedError",
    "Home",
    "Nats",
    "Postgres",
    "Servers",
    "launch_all",
    "launch_nats",
    "launch_postgres",
    "start_all",
    "start_nats",
    "start_postgres",
]
