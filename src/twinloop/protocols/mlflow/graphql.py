"""MLflow's ``/graphql``, which its pages ask: the searches of the REST interface, several in one request.

Queries are read and executed in threads, one of which computes while others wait for what they asked, so that a long
one holds up nobody. The library for that is loaded when the first one comes.
"""

from __future__ import annotations

import asyncio
import concurrent.futures
import logging
import threading
from collections.abc import Callable, Iterable, Mapping
from typing import Any

import msgspec
from starlette.requests import Request
from starlette.responses import Response

from twinloop.core.errors import InvalidInput, TwinloopError
from twinloop.protocols.http import Call, Handler, InternalError, reply
from twinloop.protocols.mlflow.endpoint import Endpoint
from twinloop.protocols.mlflow.request import Required, read

log = logging.getLogger("twinloop.protocols")

Json = dict[str, Any]
_REST = "/api/2.0/mlflow/"
_LIMIT = 2**20
_AT_ONCE = 4


class Query(msgspec.Struct, frozen=True):
    """What is posted; ``operation`` chooses one of several in ``query``."""

    query: Required
    variables: Json | None = None
    operation: str | None = msgspec.field(default=None, name="operationName")


class GraphqlHandlers:
    """Answers queries from ``handlers``, those of the REST interface by the end of their path, for the same caller."""

    def __init__(self, handlers: Mapping[str, Handler]) -> None:
        self._handlers = handlers
        self._turn = asyncio.Semaphore(_AT_ONCE)
        self._computing = threading.Lock()

    async def answer(self, call: Call) -> Response:
        """Several reads in one request, in GraphQL: of experiments, runs, metrics, artifacts, datasets, model versions."""
        if call.method == "POST" and not call.headers.get("content-type", "").startswith("application/json"):
            raise InvalidInput("Bad Request. Content-Type must be one of ['application/json'].")
        request = await read(call, Query)
        loop = asyncio.get_running_loop()

        def ask(endpoint: str, body: bytes, wait_s: float) -> Json:
            asked = asyncio.run_coroutine_threadsafe(self._ask(call, endpoint, body), loop)
            self._computing.release()
            try:
                return asked.result(wait_s)
            except concurrent.futures.CancelledError as error:
                raise TwinloopError("The server is ending. Ask again when it is back.") from error
            finally:
                asked.cancel()
                self._computing.acquire()

        def execute() -> Response:
            with self._computing:
                return _execute(ask, request)

        async with self._turn:
            return await asyncio.to_thread(execute)

    async def _ask(self, call: Call, endpoint: str, body: bytes) -> Json:
        try:
            found = await self._handlers[endpoint](_within(call, body))
        except TwinloopError:
            raise
        except Exception as error:
            log.exception("%s asked for by GraphQL failed", endpoint)
            raise InternalError("Something went wrong inside Twinloop; its log says what.") from error
        return msgspec.json.decode(found.body, type=Json) if isinstance(found, Response) else found


def _execute(ask: Callable[[str, bytes, float], Json], request: Query) -> Response:
    from twinloop.protocols.mlflow.graphql_answering import answer

    return reply(answer(ask, request.query, request.variables, request.operation))


def _within(call: Call, body: bytes) -> Call:
    """A request of the same caller with another body."""

    async def receive() -> Json:
        return {"type": "http.request", "body": body}

    headers = [(b"content-length", str(len(body)).encode())]
    scope = {"type": "http", "method": "POST", "path": "/", "query_string": b"", "headers": headers}
    return Call(Request(scope, receive), call.who, _LIMIT)


def endpoints(offered: Iterable[Endpoint]) -> list[Endpoint]:
    """GraphQL over what the REST interface offers."""
    rest = {one.path.removeprefix(_REST): one.handler for one in offered if one.path.startswith(_REST)}
    handlers = GraphqlHandlers(rest)
    return [Endpoint(method, "/graphql", handlers.answer, limit=_LIMIT) for method in ("GET", "POST")]
