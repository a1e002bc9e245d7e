"""Which machines a webhook may call.

Whoever may make a webhook makes this server send requests, from where it stands, to an address of their choice. So
they go over https to public addresses only, and to what the administrator of the machine named besides.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Sequence
from typing import NamedTuple
from urllib.parse import urlsplit

from twinloop.core.errors import InvalidInput, InvalidSettings

Address = ipaddress.IPv4Address | ipaddress.IPv6Address
Network = ipaddress.IPv4Network | ipaddress.IPv6Network

_NAT64 = ipaddress.IPv6Network("64:ff9b::/96")
_LOOPBACK: tuple[Network, ...] = (ipaddress.IPv4Network("127.0.0.0/8"), ipaddress.IPv6Network("::1/128"))


class Target(NamedTuple):
    """Where a URL leads: ``address`` when its host is written as one."""

    scheme: str
    host: str
    address: Address | None


class Reach:
    """What may be called besides public addresses: hosts by name and networks, over http too."""

    def __init__(self, named: str = "", *, loopback: bool = False) -> None:
        """``named`` lists hosts, addresses and networks, parted by commas; ``loopback`` adds this machine.

        Raises:
            InvalidSettings: an item is none of them.
        """
        self._hosts: set[str] = set()
        self._networks: list[Network] = list(_LOOPBACK) if loopback else []
        for item in filter(None, (part.strip().lower() for part in named.split(","))):
            network = _network(item)
            if network is not None:
                self._networks.append(network)
            elif "/" in item or ":" in item:
                raise InvalidSettings(
                    f"TWINLOOP_WEBHOOK_HOSTS holds {item!r}, which is no host name, address or network. "
                    "Write it like hooks.internal,10.0.0.0/8."
                )
            else:
                self._hosts.add(item)

    def target(self, url: str) -> Target:
        """Read a URL.

        Raises:
            InvalidInput: it is none, leads nowhere, or to an address that may not be called.
        """
        try:
            parts = urlsplit(url)
            host, port = (parts.hostname or "").rstrip("."), parts.port
        except ValueError as error:
            raise InvalidInput(
                f"Invalid webhook URL {_shown(url)}: {error}. Write it like https://host/path."
            ) from None
        if parts.scheme not in ("https", "http"):
            raise InvalidInput(f"Invalid webhook URL scheme: {parts.scheme[:20]!r}. Allowed schemes are: https.")
        if not host or port == 0:
            raise InvalidInput(f"Webhook URL must include a hostname: {_shown(url)}. Write it like https://host/path.")
        if parts.username is not None or parts.password is not None:
            raise InvalidInput("Webhook URL must not hold a user or password. Give the webhook a secret instead.")
        target = Target(parts.scheme, host.lower(), _address(host))
        if target.address is not None:
            self.require(target, [target.address])
        elif parts.scheme == "http" and host.lower() not in self._hosts and not self._networks:
            raise _not_https()
        return target

    def require_https(self, target: Target) -> None:
        """Raise InvalidInput for a host over http that is not named: where it leads cannot be told."""
        if target.scheme != "https" and target.host not in self._hosts:
            raise _not_https()

    def require(self, target: Target, addresses: Sequence[Address]) -> None:
        """Raise InvalidInput unless every address that the target's host stands for may be called."""
        if target.host in self._hosts:
            return
        for address in addresses:
            if any(address in network for network in self._networks):
                continue
            if not _embedded(address).is_global:
                raise InvalidInput(
                    f"Webhook URL must not resolve to a non-public IP address. {target.host[:100]!r} resolves to {address}. "
                    "To allow it, name it in TWINLOOP_WEBHOOK_HOSTS and start the server again."
                )
            if target.scheme != "https":
                raise _not_https()


def _not_https() -> InvalidInput:
    return InvalidInput("Invalid webhook URL scheme: 'http'. Allowed schemes are: https.")


def _address(host: str) -> Address | None:
    """The address a host is written as. Raises InvalidInput for spellings that programs read in different ways."""
    try:
        return ipaddress.ip_address(host)
    except ValueError:
        if ":" in host or host.replace(".", "").isdigit():
            raise InvalidInput(f"Invalid webhook URL: {host[:60]!r} is not a canonical IP address.") from None
        return None


def _embedded(address: Address) -> Address:
    """The IPv4 address inside an IPv6 one that carries it, so that it cannot pass as another."""
    if isinstance(address, ipaddress.IPv6Address):
        inner = address.ipv4_mapped or address.sixtofour
        if inner is None and address in _NAT64:
            inner = ipaddress.IPv4Address(int(address) & 0xFFFFFFFF)
        return inner or address
    return address


def _network(item: str) -> Network | None:
    try:
        return ipaddress.ip_network(item, strict=False)
    except ValueError:
        return None


def _shown(url: str) -> str:
    """A URL for a message, without what may be secret behind its host."""
    return repr(url[:60] + ("…" if len(url) > 60 else "")) if "://" not in url else repr(url.partition("?")[0][:60])
