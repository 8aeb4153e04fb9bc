"""What every engine over HTTP does alike: key, session, and what becomes of an answer."""

import json
import logging
import os
from abc import ABC, abstractmethod
from collections.abc import Collection
from datetime import UTC, datetime
from typing import Any, ClassVar, Final

import msgspec
from yarl import URL

from prefmill.contracts.chat import Params
from prefmill.contracts.reasons import EMPTY, REFUSED, REJECTED
from prefmill.engines import address
from prefmill.engines.failures import Place, failure_of
from prefmill.engines.http import Client
from prefmill.engines.http_answer import Answer
from prefmill.engines.parameters import SAMPLING, refused_parameter
from prefmill.engines.probe import probe
from prefmill.engines.remote_options import RemoteOptions
from prefmill.engines.server_error import ServerError, error_in, error_of, is_html, parsed, record
from prefmill.plugins.engine import ChatRequest, Completion
from prefmill.plugins.errors import EngineError, RecipeError, Rejected, Transient, Unusable

_log: Final = logging.getLogger(__name__)
_JSON: Final = msgspec.json.Encoder()


class NoCompletion(ValueError):
    """The JSON is not of the shape of this API's answers."""


class RemoteEngine(ABC):
    """An engine over HTTP. A subclass says how a request is written and an answer is read."""

    Options: ClassVar[type[RemoteOptions]]
    vendor_url: ClassVar[str]
    url_env: ClassVar[str]
    key_env: ClassVar[str]

    def __init__(self, options: RemoteOptions) -> None:
        self.options = options
        self.base_url = self._base_url()
        self.chat_url, self.models_url = self._urls()
        self._place = Place(options.model, address.host_of(self.base_url), self._key_name)
        self._client: Client | None = None
        self._omitted = set(options.omit)
        self._seen: Params | None = None
        self._seen_fields: dict[str, Any] = {}
        self._proven = False

    @property
    def paid(self) -> bool:
        """Whether a call may cost money: yes, unless the server is on this machine."""
        return not address.is_loopback(self.base_url)

    def missing(self) -> str | None:
        """Which environment variables are not set, in one line; None if all are."""
        lacking = [name for name in self._needed() if not os.environ.get(name)]
        if not lacking:
            return None
        verb = "is" if len(lacking) == 1 else "are"
        said = f"{' and '.join(lacking)} {verb} not set in the environment of the worker"
        return self._place.line(said)

    async def start(self) -> None:
        """Read the key and open the session."""
        key = os.environ.get(self._key_name, "").strip()
        filled = {name: address.filled(text) for name, text in self.options.headers.items()}
        headers = self._headers(key) | filled
        secrets = tuple(s for s in (key, *self._filled_secrets(filled)) if len(s) > 3)
        self._place = Place(
            self.options.model, self._place.host, self._key_name, bool(key), secrets
        )
        if not all(text.isprintable() for text in headers.values()):
            raise Unusable(self._place.line(f"{self._key_name} or a header holds a line break"))
        proxy = address.proxy_for(self.base_url)
        self._client = Client(
            self.chat_url, self._place, headers, self.options.timeout_s, proxy=proxy
        )

    async def probe(self, params: Params) -> None:
        """Look for the model in the server's list; only if it is not there, ask for a token."""
        await probe(self, params)

    async def complete(self, request: ChatRequest) -> Completion:
        """Answer one request. A sampling parameter that the server refuses is left out of this
        and all later requests, which one line in the log says."""
        while True:
            body = self._body(request)
            answer = await self.client.post(self.chat_url, _encoded(body))
            if answer.status // 100 == 2:
                return self._completion(answer)
            self._adapt_or_raise(answer, body)

    async def stop(self) -> None:
        """Close the session."""
        if self._client is not None:
            await self._client.close()
            self._client = None

    @property
    def listed_as(self) -> str:
        """The model's name in the server's list."""
        return self.options.model

    @property
    def client(self) -> Client:
        """The open session. Transient before `start` and after `stop`."""
        if self._client is None:
            raise Transient(self._place.line("the engine is not started"))
        return self._client

    @property
    def place(self) -> Place:
        """Who is asked, for messages."""
        return self._place

    @abstractmethod
    def _urls(self) -> tuple[URL, URL]:
        """Where completions are asked for, and where the server lists its models."""

    @abstractmethod
    def _headers(self, key: str) -> dict[str, str]:
        """Headers of each call; `key` may be empty."""

    @abstractmethod
    def _body(self, request: ChatRequest) -> dict[str, Any]:
        """The request's fields, without those in `_omitted`; messages as they are."""

    @abstractmethod
    def _fields(self, params: Params) -> dict[str, Any]:
        """What `params` become on this wire; called once for the same object."""

    @abstractmethod
    def _read(self, document: dict[str, Any]) -> Completion:
        """The completion. Raises Rejected, or NoCompletion if the document is none."""

    def failure(self, answer: Answer, error: ServerError | None = None) -> EngineError:
        """The failure that an answer of status 300 and more stands for."""
        said = error or error_in(answer.body)
        return failure_of(
            said.number if answer.status < 300 else answer.status,
            said,
            self._place,
            answer.headers,
            datetime.now(UTC),
        )

    def proven(self) -> None:
        """The server has answered as such an API does: odd answers from now on are passing."""
        self._proven = True

    def _known_fields(self, params: Params) -> dict[str, Any]:
        if params is not self._seen:
            self._seen_fields = self._fields(params)
            self._seen = params
        return self._seen_fields

    def _completion(self, answer: Answer) -> Completion:
        try:
            document = record(parsed(answer.body))
        except ValueError as error:
            raise self._unreadable(answer) from error
        if document.get("error"):
            said = error_of(document)
            raise self.failure(Answer(said.number or 500, answer.headers, b""), said)
        try:
            completion = self._read(document)
        except NoCompletion as error:
            raise self._strange(f"the answer is no completion: {error}") from error
        self._proven = True
        return completion

    def _unreadable(self, answer: Answer) -> EngineError:
        if answer.body.startswith((b"data:", b"event:", b": ")):
            return Unusable(self._place.line("it streams", "remove `stream` from extra_body"))
        if is_html(answer.body):
            return self._strange(f"it answered with a web page: {error_in(answer.body).message}")
        start = answer.body[:60].decode("utf-8", "replace")
        said = f"the answer is no whole JSON: {start!r}"
        return Transient(self._place.line(said), broken=True)

    def _strange(self, said: str) -> EngineError:
        if self._proven:
            return Transient(self._place.line(said), broken=True)
        return Unusable(self._place.line(said, "is base_url right?"))

    def _adapt_or_raise(self, answer: Answer, body: Collection[str]) -> None:
        error = error_in(answer.body)
        name = refused_parameter(answer.status, error, body)
        if name and self._adapt(name, error):
            return
        failure = self.failure(answer, error)
        if name and isinstance(failure, Rejected) and failure.reason == REJECTED:
            raise Rejected(REJECTED, f"{failure.detail}; if need be, name {name} under `omit`")
        raise failure

    def _adapt(self, name: str, error: ServerError) -> bool:
        """Leave the parameter out from now on, if an answer is still one without it. True also
        if another call has done so since this request was written."""
        if name not in SAMPLING:
            return False
        if name not in self._omitted:
            self._omitted.add(name)
            self._seen = None
            self._say(f"{name} is left out from now on: {error.message}")
        return True

    def _say(self, what: str) -> None:
        _log.warning("%s", self._place.line(what))

    def _refused(self, completion: Completion, why: str) -> Rejected:
        """A content filter's or the model's own refusal; what was paid is kept."""
        return _rejected(REFUSED, self._place.line(why), completion)

    def _not_empty(self, completion: Completion) -> Completion:
        """The completion, if it has text. Raises Rejected with what was paid if not."""
        if completion.text and not completion.text.isspace():
            return completion
        why = f"the answer holds no text (it ended with {completion.finish_reason or 'nothing'})"
        if completion.finish_reason == "length":
            why += "; is max_tokens too small for a model that thinks?"
        raise _rejected(EMPTY, self._place.line(why), completion)

    @property
    def _key_name(self) -> str:
        return self.options.api_key_env or self.key_env

    def _base_url(self) -> str:
        """The recipe's, else the environment's, else the vendor's. RecipeError if it is none."""
        url = self.options.base_url or os.environ.get(self.url_env) or self.vendor_url
        try:
            return address.checked(url)
        except ValueError as error:
            raise RecipeError(f"{self.url_env}: {error}") from error

    def _needed(self) -> list[str]:
        names = [n for text in self.options.headers.values() for n in address.variables_in(text)]
        own_key = any(name.lower() in ("authorization", "api-key") for name in self.options.headers)
        at_vendor = address.host_of(self.base_url) == address.host_of(self.vendor_url)
        if self.options.api_key_env or (at_vendor and not own_key):
            names.append(self._key_name)
        return names

    def _filled_secrets(self, filled: dict[str, str]) -> list[str]:
        """What came from the environment into headers."""
        texts = (text for text in self.options.headers.values())
        names = (name for text in texts for name in address.variables_in(text))
        return [os.environ.get(name, "") for name in names] if filled else []


def tokens(value: Any) -> int:
    """A count of tokens; 0 for whatever is none."""
    return value if isinstance(value, int) and value > 0 else 0


def _rejected(reason: str, detail: str, completion: Completion) -> Rejected:
    return Rejected(
        reason, detail, usage=completion.usage, model=completion.model, raw=completion.text
    )


def _encoded(body: dict[str, Any]) -> bytes:
    try:
        return _JSON.encode(body)
    except (UnicodeEncodeError, TypeError):  # lone surrogates; a plugin's own kind of string
        return json.dumps(body, default=msgspec.structs.asdict).encode()
