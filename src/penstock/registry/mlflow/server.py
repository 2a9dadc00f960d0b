"""An MLflow server, read over its REST API: registered models, prompts, their versions, tags and aliases."""

from __future__ import annotations

import base64
import http.client
import urllib.parse
from collections.abc import Iterator, Mapping
from typing import TypeVar

import msgspec

from penstock.kernel.errors import RequestError, Unavailable
from penstock.registry.mlflow.shape import IS_PROMPT, RegisteredModel, WireModel, WireVersion, read_model, read_version

T = TypeVar("T")
SECONDS = 60.0
LARGEST = 256 * 1024 * 1024
_PAGE = 100
_PROMPTS = f"tags.`{IS_PROMPT}` = 'true'"


class _Models(msgspec.Struct):
    registered_models: list[WireModel] = []
    next_page_token: str | None = None


class _Versions(msgspec.Struct):
    model_versions: list[WireVersion] = []
    next_page_token: str | None = None


class MlflowServer:
    """A server at ``url``. The credentials are those of MLflow's own client: ``MLFLOW_TRACKING_TOKEN``, or ``..._USERNAME`` and
    ``..._PASSWORD`` in ``environ``. Raises `RequestError` and `Unavailable` with what the server says."""

    def __init__(self, url: str, environ: Mapping[str, str]) -> None:
        parts = urllib.parse.urlsplit(url)
        if parts.scheme not in ("http", "https") or not parts.hostname:
            raise RequestError(f"{url[:200]!r} is not the address of an MLflow server; it looks like http://127.0.0.1:5000", param="from")
        self._secure = parts.scheme == "https"
        self._host, self._port, self._base = parts.hostname, parts.port, parts.path.rstrip("/")
        self._url = f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}{self._base}"
        self._headers: dict[str, str] = {}
        token, user = environ.get("MLFLOW_TRACKING_TOKEN"), environ.get("MLFLOW_TRACKING_USERNAME")
        if token:
            self._headers["authorization"] = f"Bearer {token}"
        elif user:
            pair = f"{user}:{environ.get('MLFLOW_TRACKING_PASSWORD', '')}".encode()
            self._headers["authorization"] = f"Basic {base64.b64encode(pair).decode()}"

    def models(self) -> Iterator[RegisteredModel]:
        """All registered models, then all prompts."""
        for prompts in (False, True):
            token: str | None = ""
            while token is not None:
                page = self._get("registered-models/search", _Models, _PROMPTS if prompts else "", token)
                for model in page.registered_models:
                    yield read_model(model, [read_version(wire) for wire in self._versions(model.name, prompts)])
                token = page.next_page_token or None

    def _versions(self, name: str, prompt: bool) -> Iterator[WireVersion]:
        quote = '"' if "'" in name else "'"
        wanted = f"name={quote}{name}{quote}" + (f" AND {_PROMPTS}" if prompt else "")
        token: str | None = ""
        while token is not None:
            page = self._get("model-versions/search", _Versions, wanted, token)
            yield from page.model_versions
            token = page.next_page_token or None

    def _get(self, path: str, kind: type[T], wanted: str, token: str) -> T:
        query = {"max_results": str(_PAGE), **({"filter": wanted} if wanted else {}), **({"page_token": token} if token else {})}
        where = f"{self._base}/api/2.0/mlflow/{path}?{urllib.parse.urlencode(query, quote_via=urllib.parse.quote)}"
        connection = (http.client.HTTPSConnection if self._secure else http.client.HTTPConnection)(self._host, self._port, timeout=SECONDS)
        try:
            connection.request("GET", where, headers=self._headers)
            reply = connection.getresponse()
            body = reply.read(LARGEST)
        except (OSError, http.client.HTTPException) as fault:
            raise Unavailable(f"the MLflow server at {self._url} does not answer: {fault}") from fault
        finally:
            connection.close()
        if reply.status != 200:
            said = body[:300].decode("utf-8", "replace")
            raise RequestError(f"the MLflow server at {self._url} answered {reply.status} to {path}: {said}", param="from")
        try:
            return msgspec.json.decode(body, type=kind)
        except (msgspec.DecodeError, UnicodeDecodeError) as fault:
            raise RequestError(f"what {self._url} answers to {path} is not MLflow's registry: {fault}", param="from") from fault
