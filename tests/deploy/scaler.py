"""Decides replicas as KEDA's nats-jetstream scaler and the autoscaler behind it do."""

import json
import math
import time
import urllib.request
from collections.abc import Callable
from typing import Any

Document = dict[str, Any]


def lag_of(jsz: Document, account: str, stream: str, consumer: str) -> int:
    """`num_pending + num_ack_pending` of the consumer, as the scaler reads `/jsz`."""
    for each in jsz["account_details"]:
        if each["name"] == account:
            for found in each.get("stream_detail", ()):
                for known in found.get("consumer_detail") or ():
                    if (found["name"], known["name"]) == (stream, consumer):
                        return known["num_pending"] + known["num_ack_pending"]
    raise LookupError(f"no consumer {consumer} of {stream} in account {account}")


def jsz(monitor: str) -> Document:
    query = "acc=PREFMILL&consumers=true&config=true"
    with urllib.request.urlopen(f"http://{monitor}/jsz?{query}", timeout=5) as answer:
        return json.load(answer)


class Scaler:
    """One ScaledObject at work. `hurry` divides its times; its other numbers hold as they are."""

    def __init__(
        self, scaled: Document, read: Callable[[], int], start: Any, stop: Any, hurry: float
    ) -> None:
        spec = scaled["spec"]
        metadata = spec["triggers"][0]["metadata"]
        self._threshold = int(metadata["lagThreshold"])
        self._activation = int(metadata["activationLagThreshold"])
        self._most = spec["maxReplicaCount"]
        self._least = spec["minReplicaCount"]
        self._cooldown = spec["cooldownPeriod"] / hurry
        down = spec["advanced"]["horizontalPodAutoscalerConfig"]["behavior"]["scaleDown"]
        self._stable = down["stabilizationWindowSeconds"] / hurry
        self._read, self._start, self._stop = read, start, stop
        self._active = time.monotonic()
        self._wanted: list[tuple[float, int]] = []
        self.pods: list[Any] = []
        self.history: list[int] = []

    def step(self) -> None:
        """Read the lag once, and start or stop what that means."""
        now, lag = time.monotonic(), self._read()
        if lag > self._activation:
            self._active = now
        desired = min(self._most, math.ceil(lag / self._threshold))
        self._wanted.append((now, desired))
        recent = [wanted for at, wanted in self._wanted if now - at <= self._stable]
        if desired > len(self.pods):
            self.pods += [self._start() for _ in range(desired - len(self.pods))]
        elif self.pods and now - self._active > self._cooldown:
            self._leave(self._least)
        elif max(recent) < len(self.pods):
            self._leave(max(1, *recent))
        self.history.append(len(self.pods))

    def _leave(self, count: int) -> None:
        gone, self.pods = self.pods[count:], self.pods[:count]
        if gone:
            self._stop(gone)
