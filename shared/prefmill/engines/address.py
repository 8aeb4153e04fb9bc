"""Where a server is: its URLs, its name in messages, and what the environment adds."""

import ipaddress
import os
import urllib.request
from string import Template
from typing import Final
from urllib.parse import urlsplit, urlunsplit

from yarl import URL

_PORTS: Final = {"http": 80, "https": 443}


def checked(base_url: str) -> str:
    """The URL without its last slash. ValueError if it is none, or holds a password."""
    parts = urlsplit(base_url)
    if parts.scheme not in _PORTS or not parts.hostname:
        raise ValueError(f"{base_url!r} is no URL; write http://HOST:PORT/v1 or https://HOST/v1")
    if parts.username or parts.password:
        raise ValueError("a URL with a password in it would be stored; use `api_key_env`")
    url = urlunsplit(parts._replace(path=parts.path.rstrip("/"), fragment=""))
    _ = URL(url), parts.port  # ValueError if they are none
    return url


def below(base_url: str, path: str, **query: str) -> URL:
    """The URL of `path` below the base; a query of the base stays."""
    parts = urlsplit(base_url)
    stem = parts.path.rstrip("/").removesuffix("/chat/completions").removesuffix("/messages")
    url = URL(urlunsplit(parts._replace(path=f"{stem}/{path}")))
    return url.update_query(query) if query else url


def host_of(base_url: str) -> str:
    """Host, and port unless it is the usual one, for messages."""
    parts = urlsplit(base_url)
    host = parts.hostname or base_url
    return f"{host}:{parts.port}" if parts.port not in (None, _PORTS.get(parts.scheme)) else host


def is_loopback(base_url: str) -> bool:
    """Whether the server is on this machine."""
    host = urlsplit(base_url).hostname or ""
    if host == "localhost" or host.endswith(".localhost"):
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def proxy_for(base_url: str) -> str | None:
    """The proxy that the environment names for this URL; found once, as a look-up is slow."""
    parts = urlsplit(base_url)
    if is_loopback(base_url) or urllib.request.proxy_bypass(parts.hostname or ""):
        return None
    return urllib.request.getproxies().get(parts.scheme)


def variables_in(value: str) -> list[str]:
    """The environment variables that `value` names as `$NAME` or `${NAME}`."""
    return Template(value).get_identifiers()


def filled(value: str) -> str:
    """The value with its `$NAME` replaced from the environment."""
    return Template(value).safe_substitute(os.environ)
