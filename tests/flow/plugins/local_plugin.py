"""An engine that behaves as one with a model in processes of its own, without any model: it loads
for a while, has a child, says how many calls it wants, exports metrics, and may die."""

import asyncio
import os
import signal
import subprocess
import sys
import time
from collections import Counter as Tally
from pathlib import Path
from typing import ClassVar

from prometheus_client import CollectorRegistry, Counter

from prefmill.contracts.chat import Params, Usage
from prefmill.plugins.engine import ChatRequest, Completion, EngineOptions
from prefmill.plugins.errors import EngineDied, Unusable

_CHILD = "import time; time.sleep(600)"


class LocalOptions(EngineOptions):
    gpus: int = 1
    load_s: float = 0.0
    """Loading blocks a thread for so long."""
    fails: str = ""
    """File that, if it is there, says what is wrong when the model is loaded; `killed` ends the
    process, as the kernel does for want of memory."""
    most: int = 8
    """Calls that run at once; two more may wait."""
    child: str = ""
    """File for the process id of the engine's child."""
    log: str = ""
    """File for how many ran when each began."""
    starts: str = ""
    """File for a line at each start: model, process id, devices."""


class LocalEngine:
    """`VERB ARGUMENT` as the last turn: sleep SECONDS, say TEXT, die, or an echo."""

    Options: ClassVar[type[EngineOptions]] = LocalOptions
    paid = False

    def __init__(self, options: LocalOptions) -> None:
        self._options = options
        self._registry = CollectorRegistry()
        self._calls = Counter("local_calls", "Calls.", registry=self._registry)
        self._running = asyncio.Semaphore(options.most)
        self._now: Tally[str] = Tally()
        self._child: subprocess.Popen[bytes] | None = None
        self._dead = False

    def missing(self) -> str | None:
        return None

    async def start(self) -> None:
        if self._options.starts:
            devices = os.environ.get("CUDA_VISIBLE_DEVICES")
            with Path(self._options.starts).open("a") as log:
                log.write(f"{self._options.model} {os.getpid()} {devices}\n")
        if self._options.child:
            self._child = subprocess.Popen([sys.executable, "-c", _CHILD])
            Path(self._options.child).write_text(str(self._child.pid))
        if self._options.load_s:
            await asyncio.to_thread(time.sleep, self._options.load_s)
        if self._options.fails and (file := Path(self._options.fails)).exists():
            self._fail(file.read_text())

    def _fail(self, how: str) -> None:
        if how == "killed":
            os.kill(os.getpid(), signal.SIGKILL)
        raise Unusable(how)

    async def stop(self) -> None:
        if self._child:
            self._child.kill()
            self._child.wait()

    async def probe(self, params: Params) -> None:
        """Always right."""

    def wanted(self, running: int) -> int | None:
        self._check()
        return self._options.most + 2

    def metrics(self) -> CollectorRegistry:
        return self._registry

    async def complete(self, request: ChatRequest) -> Completion:
        self._check()
        self._calls.inc()
        async with self._running:
            prompt = request.messages[-1].content
            verb, _, argument = prompt.partition(" ")
            self._now["running"] += 1
            self._note()
            try:
                self._dead = self._dead or verb == "die"
                self._check()
                await asyncio.sleep(float(argument) if verb == "sleep" else 0)
                self._check()
            finally:
                self._now["running"] -= 1
            text = argument if verb == "say" else f"echo {prompt}"
            return Completion(text, "stop", self._options.model, Usage(output_tokens=2))

    def _check(self) -> None:
        if self._dead:
            raise EngineDied("the engine core has ended")

    def _note(self) -> None:
        if self._options.log:
            with Path(self._options.log).open("a") as log:
                log.write(f"{self._now['running']}\n")
