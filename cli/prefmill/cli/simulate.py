"""`prefmill simulate`: the simulated engine over HTTP."""

import asyncio
import re
import signal
from typing import Any, Final

import click

_TIME: Final = re.compile(r"(\d+(?:\.\d+)?)(ms|s|m|)")
_UNIT_MS: Final = {"": 1, "ms": 1, "s": 1000, "m": 60_000}


def _milliseconds(context: click.Context, option: click.Parameter, value: str) -> float:
    """`150ms`, `1.5s`, `10m`, or a plain number of milliseconds."""
    found = _TIME.fullmatch(value)
    if found is None:
        raise click.BadParameter(f"{value!r} is no time; write 150ms, 1.5s or 10m")
    return float(found[1]) * _UNIT_MS[found[2]]


def _rates(context: click.Context, option: click.Parameter, value: str) -> dict[str, float]:
    """`429=0.05,malformed=0.1`."""
    try:
        pairs = [part.split("=") for part in value.split(",") if part.strip()]
        return {name.strip(): float(rate) for name, rate in pairs}
    except ValueError as error:
        said = f"{value!r} is no list of faults; write 429=0.05,reset=0.01"
        raise click.BadParameter(said) from error


@click.command()
@click.option("--host", default="127.0.0.1", show_default=True, help="Address to listen on.")
@click.option("--port", default=8089, show_default=True, help="0 takes any free port.")
@click.option("--latency", callback=_milliseconds, default="0ms", help="Before an answer: 150ms.")
@click.option("--jitter", default=0.0, help="Share by which the latency varies, either way: 0.3.")
@click.option("--faults", callback=_rates, default="", help="FAULT=SHARE,…: 429=0.05,reset=0.01.")
@click.option("--refusals", default=0.0, help="Share of prompts that a content filter refuses.")
@click.option(
    "--retry-after", callback=_milliseconds, default="1s", help="What a 429 asks to wait: 10m."
)
@click.option("--seed", default=0, help="Another seed makes another world.")
@click.option("--api-key", default="", help="Any other key is refused; all pass without one.")
@click.option("--models", default="", help="Names that exist, by commas; all do without.")
def simulate(
    host: str,
    port: int,
    latency: float,
    jitter: float,
    faults: dict[str, float],
    refusals: float,
    retry_after: float,
    seed: int,
    api_key: str,
    models: str,
) -> None:
    """Serve simulated models over HTTP, on the OpenAI and the Anthropic wire.

    Prints its URL. OpenAI clients take URL/v1 as base URL, Anthropic clients the URL itself.
    GET /stats counts what it was asked; POST /stats/reset starts anew. Faults are 429, 500, 503,
    reset, hang, html, truncated, empty, malformed and malformed:FORM.
    """
    import uvloop

    names = tuple(name.strip() for name in models.split(",") if name.strip())
    settings = {
        "model": names[0] if names else "simulated",
        "seed": seed,
        "latency_ms": latency,
        "jitter": jitter,
        "refusals": refusals,
        "retry_after_s": retry_after / 1000,
        "faults": faults,
    }
    try:
        uvloop.run(_serve(settings, host, port, api_key, names))
    except OSError as error:
        raise click.ClickException(
            f"cannot listen on {host}:{port}: {error.strerror or error}; "
            "choose another --port, or --port 0 for any that is free"
        ) from error


async def _serve(
    settings: dict[str, Any], host: str, port: int, api_key: str, models: tuple[str, ...]
) -> None:
    """Serve until SIGINT or SIGTERM."""
    from prefmill.engines.simulated.server.app import Access, SimulatedServer, serving
    from prefmill.engines.simulated.simulation import Simulation

    stopped = asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, stopped.set)
    server = SimulatedServer(Simulation(_options(settings)), Access(api_key, models))
    async with serving(server, host, port) as url:
        click.echo(url)
        await stopped.wait()


def _options(settings: dict[str, Any]) -> Any:
    """The engine's options, or a usage error that says what is wrong."""
    from prefmill.engines.simulated import SimulatedOptions
    from prefmill.plugins.errors import RecipeError
    from prefmill.plugins.registry import options_of

    class Plugin:
        Options = SimulatedOptions

    try:
        return options_of(Plugin, settings, "")
    except RecipeError as error:
        raise click.UsageError(str(error)) from error
