from __future__ import annotations

import ipaddress

import pytest

from twinloop.control.webhooks.reach import Reach
from twinloop.core.errors import InvalidInput, InvalidSettings


@pytest.mark.parametrize(
    "url",
    [
        "https://127.0.0.1/x",
        "https://[::1]/x",
        "https://10.1.2.3/x",
        "https://192.168.0.1/x",
        "https://169.254.169.254/latest/meta-data",
        "https://0.0.0.0/x",
        "https://100.64.0.1/x",
        "https://[fd00::1]/x",
        "https://[::ffff:127.0.0.1]/x",
        "https://[64:ff9b::7f00:1]/x",
        "https://[2002:7f00:1::]/x",
    ],
)
def test_addresses_that_are_not_public_are_refused_however_they_are_written(url: str) -> None:
    with pytest.raises(InvalidInput, match="must not resolve to a non-public IP address"):
        Reach().target(url)


@pytest.mark.parametrize("host", ["127.1", "2130706433", "0177.0.0.1", "127.0.0.01"])
def test_spellings_of_addresses_that_programs_read_differently_are_refused(host: str) -> None:
    with pytest.raises(InvalidInput, match="canonical"):
        Reach(loopback=True).target(f"https://{host}/x")


@pytest.mark.parametrize(
    ("url", "says"),
    [
        ("ftp://example.com", "Invalid webhook URL scheme"),
        ("http://example.com", "Invalid webhook URL scheme"),
        ("example.com/webhook", "Invalid webhook URL"),
        ("invalid_url", "Invalid webhook URL"),
        ("http://[invalid", "Invalid webhook URL"),
        ("https://example.com:99999", "Invalid webhook URL"),
        ("https:///path", "must include a hostname"),
        ("https://user:pass@example.com", "user or password"),
        ("file:///etc/passwd", "Invalid webhook URL scheme"),
    ],
)
def test_what_is_no_address_for_a_webhook_is_refused(url: str, says: str) -> None:
    with pytest.raises(InvalidInput, match=says):
        Reach().target(url)


def test_a_secret_in_a_url_is_not_repeated_in_the_message() -> None:
    with pytest.raises(InvalidInput) as caught:
        Reach().target("https://[bad/path?token=abcdef")
    assert "abcdef" not in caught.value.message


def test_https_to_a_public_address_is_free() -> None:
    assert Reach().target("https://example.com/x").host == "example.com"
    assert Reach().target("https://EXAMPLE.com./x").host == "example.com"
    Reach().require(Reach().target("https://example.com"), [ipaddress.ip_address("93.184.216.34")])


def test_a_name_is_judged_by_every_address_it_stands_for() -> None:
    target = Reach().target("https://example.com")
    addresses = [ipaddress.ip_address("93.184.216.34"), ipaddress.ip_address("169.254.169.254")]
    with pytest.raises(InvalidInput, match=r"resolves to 169\.254\.169\.254"):
        Reach().require(target, addresses)


def test_hosts_and_networks_that_are_named_may_be_called_over_http() -> None:
    reach = Reach("Hooks.Internal, 10.0.0.0/8,192.168.7.7")
    inside = ipaddress.ip_address("10.9.8.7")
    reach.require(reach.target("http://hooks.internal/x"), [ipaddress.ip_address("172.16.0.1")])
    reach.require(reach.target("http://other.internal/x"), [inside])
    reach.target("http://192.168.7.7/x")
    with pytest.raises(InvalidInput, match="non-public"):
        reach.target("https://192.168.7.8/x")
    with pytest.raises(InvalidInput, match="scheme"):
        reach.require(reach.target("http://public.example/x"), [ipaddress.ip_address("93.184.216.34")])


def test_loopback_is_allowed_where_it_is_asked_for() -> None:
    Reach(loopback=True).target("http://127.0.0.1:8080/x")
    Reach(loopback=True).target("http://[::1]:8080/x")
    with pytest.raises(InvalidInput):
        Reach(loopback=True).target("http://10.0.0.1/x")


@pytest.mark.parametrize("named", ["10.0.0.0/33", "http://host", "host:80", "a/b"])
def test_a_setting_that_names_no_host_is_an_error_at_start(named: str) -> None:
    with pytest.raises(InvalidSettings, match="TWINLOOP_WEBHOOK_HOSTS"):
        Reach(named)
