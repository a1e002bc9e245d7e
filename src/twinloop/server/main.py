"""The serving process: take the port and the home, open the App, answer until told to stop."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import logging
import signal
import socket
from collections.abc import Callable

import uvicorn

from twinloop.compose import App, open_app
from twinloop.core.errors import InvalidSettings
from twinloop.core.settings import Settings
from twinloop.server.app import application
from twinloop.version import __version__

_DRAIN_S = 20
_HEADERS = [("x-content-type-options", "nosniff"), ("referrer-policy", "no-referrer"), ("x-frame-options", "DENY")]
_BACKLOG = 2048
_GC_OBJECTS = 20_000


def serve(settings: Settings) -> None:
    """Serve until SIGINT or SIGTERM; requests under way are finished first.

    Raises:
        HomeHeld: another process has the home.
        InvalidSettings: the address is not loopback and there is no key, or it cannot be listened on.
        InstallationError: the home must be mended first.
    """
    logging.basicConfig(level=settings.log_level.upper(), format="%(asctime)s %(levelname)s %(name)s: %(message)s")
    with asyncio.Runner(loop_factory=_loop_factory()) as runner:
        runner.run(_serve(settings))


def _loop_factory() -> Callable[[], asyncio.AbstractEventLoop] | None:
    """uvloop where it can be had: a third less CPU a request than asyncio's own loop."""
    try:
        import uvloop
    except ImportError:
        return None
    return uvloop.new_event_loop


async def _serve(settings: Settings) -> None:
    app = await open_app(settings)
    try:
        if not settings.loopback and not app.keys.any:
            raise InvalidSettings(
                f"{settings.host} can be reached from other machines and there is no key. "
                "Make one first with: twinloop keys create NAME --role admin"
            )
        with listen(settings) as listener:
            url = url_of(settings, listener)
            app.home.announce(url)
            print(f"Twinloop {__version__} serves {url} from {app.home.path} (stop with Ctrl-C)", flush=True)
            await _answer(app, listener)
    finally:
        await app.aclose()


def listen(settings: Settings) -> socket.socket:
    """A socket that takes connections from now on, so that whoever reads the announced URL is never refused."""
    family = socket.AF_INET6 if ":" in settings.host else socket.AF_INET
    listener = socket.socket(family, socket.SOCK_STREAM)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind((settings.host, settings.port))
        listener.listen(_BACKLOG)
    except OSError as error:
        listener.close()
        raise InvalidSettings(
            f"{settings.host}:{settings.port} cannot be listened on ({error.strerror}). Choose another with --port, 0 for any."
        ) from error
    return listener


def url_of(settings: Settings, listener: socket.socket) -> str:
    """Where this machine reaches the server; an address that stands for all of them is written as loopback."""
    reached = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(settings.host, settings.host)
    host = f"[{reached}]" if ":" in reached else reached
    return f"http://{host}:{listener.getsockname()[1]}"


async def _restore(app: App) -> None:
    """Load what was live; then take what has been loaded out of the garbage collector's sight.

    Requests make many short-lived objects that reference counts free. Without this every few hundred of them the
    collector walks over all that a model, an index and the libraries keep, which cost a third of a small request's CPU.
    """
    await app.restore()
    gc.collect()
    gc.freeze()
    gc.set_threshold(_GC_OBJECTS, 20, 20)


async def _answer(app: App, listener: socket.socket) -> None:
    config = uvicorn.Config(
        application(app, loopback=app.settings.loopback),
        http="httptools",
        lifespan="off",
        access_log=False,
        backlog=_BACKLOG,
        log_config=None,
        server_header=False,
        proxy_headers=False,
        headers=_HEADERS,
        date_header=False,
        timeout_graceful_shutdown=_DRAIN_S,
        timeout_keep_alive=75,
    )
    for number in (signal.SIGINT, signal.SIGTERM):
        # uvicorn stops on these and then raises them again; the second time they must not cut short what follows.
        signal.signal(number, lambda *_: None)
    restoring = asyncio.create_task(_restore(app), name="twinloop-restore")
    try:
        await uvicorn.Server(config).serve(sockets=[listener])
    finally:
        restoring.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await restoring
