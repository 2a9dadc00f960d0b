"""OTLP over gRPC: ``opentelemetry.proto.collector.trace.v1.TraceService/Export`` on a port of its own.

https://opentelemetry.io/docs/specs/otlp/#otlpgrpc. Needs the extra ``otlp``. The bytes are read by us, not by generated classes.
"""

from __future__ import annotations

import importlib
import logging
from collections.abc import Callable
from typing import Any

from penstock.kernel.errors import PenstockError, SettingsError
from penstock.kernel.ports import Authenticator
from penstock.kernel.vendor import credential
from penstock.observability.otlp.answer import PROTOBUF, code_of, retry_details, success
from penstock.observability.otlp.intake import Intake
from penstock.observability.settings import OtlpSettings

_log = logging.getLogger("penstock.observability")

SERVICE = "opentelemetry.proto.collector.trace.v1.TraceService"
GRACE_SECONDS = 5.0


class GrpcIn:
    """A service that listens while the house is open. ``port`` is the real one once it has started."""

    name = "otlp-grpc"

    def __init__(self, intake: Intake, authenticator: Callable[[], Authenticator], settings: OtlpSettings) -> None:
        self._intake = intake
        self._authenticator = authenticator
        self._settings = settings
        self._server: Any = None
        self.port = settings.grpc_port or 0

    async def start(self) -> None:
        """Begin to listen. Raises `SettingsError` without the extra, or when the port cannot be had."""
        try:
            # 6 MB and 0.1 s to import: only who gives gRPC a port needs it.
            grpc: Any = importlib.import_module("grpc")
        except ImportError as fault:
            raise SettingsError(
                "observability.otlp.grpc_port: OTLP over gRPC needs the extra 'otlp': pip install 'penstock[otlp]'",
                param="observability.otlp.grpc_port",
            ) from fault
        settings = self._settings

        async def export(request: bytes, context: Any) -> bytes:
            return await self._export(grpc, request, context)

        method = grpc.unary_unary_rpc_method_handler(export)
        server = grpc.aio.server(options=[("grpc.max_receive_message_length", settings.max_body_bytes), ("grpc.so_reuseport", 1)])
        server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler(SERVICE, {"Export": method}),))
        try:
            self.port = server.add_insecure_port(f"{settings.grpc_host}:{self.port}")
        except RuntimeError as fault:
            raise SettingsError(
                f"cannot listen on {settings.grpc_host}:{self.port} for OTLP over gRPC; choose another observability.otlp.grpc_port",
                param="observability.otlp.grpc_port",
            ) from fault
        await server.start()
        self._server = server
        _log.info("OTLP over gRPC", extra={"host": settings.grpc_host, "port": self.port})

    async def stop(self) -> None:
        """Take no more exports; those in work are finished."""
        if self._server is not None:
            await self._server.stop(GRACE_SECONDS)

    async def _export(self, grpc: Any, request: bytes, context: Any) -> bytes:
        try:
            try:
                principal = self._authenticator().authenticate(_key(context.invocation_metadata()))
            except PenstockError as fault:
                self._intake.refuse(fault)
                raise
            taken = await self._intake.take(principal, request, "", PROTOBUF)
        except PenstockError as fault:
            number, message = code_of(fault.status), f"{fault.code}: {fault.message}"
            code = next(one for one in grpc.StatusCode if one.value[0] == number)
            if fault.retry_after is not None:
                details = retry_details(number, message, fault.retry_after)
                context.set_trailing_metadata((("grpc-status-details-bin", details),))
            await context.abort(code, message)
            raise  # not reached: abort raises
        return success(taken.refused, taken.message, PROTOBUF)


def _key(metadata: Any) -> str | None:
    return credential({str(name).lower(): value for name, value in metadata or () if isinstance(value, str)}.get)
