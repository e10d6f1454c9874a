"""Only this machine reaches the workbench, unless TLS or a proxy, a log-in and a strong secret stand before it."""

from __future__ import annotations

import base64
import itertools
import os
import secrets

import pytest

from tests.door.conftest import SECRET
from workbench.config import Settings
from workbench.door.address import check_address, check_cookie_secret, hosts, is_exposed, is_loopback, origins
from workbench.errors import ConfigError


@pytest.fixture
def tls(tmp_path):
    cert, key = tmp_path / "cert.pem", tmp_path / "key.pem"
    cert.write_text("certificate")
    key.write_text("key")
    key.chmod(0o600)
    return {"tls_cert": cert, "tls_key": key}


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "::1", "127.8.9.1", "[::1]", "::ffff:127.0.0.1"])
def test_this_machine_needs_nothing(host):
    assert is_loopback(host)
    check_address(Settings(host=host))


@pytest.mark.parametrize(
    "host",
    ["0.0.0.0", "::", "192.168.1.5", "10.0.0.1", "desk.example.org", "127.0.0.1.example.org", "localhost.example.org", "0", "2130706433"],
)
def test_any_other_address_is_refused_with_all_that_is_missing(host):
    with pytest.raises(ConfigError, match=r"host: received .*tls_cert.*password_file.*cookie_secret.*SSH tunnel"):
        check_address(Settings(host=host))


def test_every_part_is_needed(tls, password_file):
    parts = {"tls": tls, "password_file": {"password_file": password_file}, "cookie_secret": {"cookie_secret": SECRET}}
    for count in range(len(parts) + 1):
        for names in itertools.combinations(parts, count):
            settings = Settings(host="192.168.1.5", **{k: v for name in names for k, v in parts[name].items()})
            if count == len(parts):
                check_address(settings)
            else:
                with pytest.raises(ConfigError, match="host: received"):
                    check_address(settings)


def test_a_proxy_stands_for_tls_and_makes_even_loopback_reachable(password_file):
    with pytest.raises(ConfigError, match="behind_proxy"):
        check_address(Settings(behind_proxy=True))
    check_address(Settings(behind_proxy=True, password_file=password_file, cookie_secret=SECRET))


def test_an_origin_of_another_name_makes_it_reachable():
    assert not is_exposed(Settings(origins="localhost:8080"))
    with pytest.raises(ConfigError, match="reachable from elsewhere"):
        check_address(Settings(origins="desk.example.org"))


def test_every_address_at_once_needs_to_know_its_names(tls, password_file):
    settings = {"host": "0.0.0.0", **tls, "password_file": password_file, "cookie_secret": SECRET}
    with pytest.raises(ConfigError, match="origins: received nothing"):
        check_address(Settings(**settings))
    check_address(Settings(**settings, origins="desk.example.org"))


@pytest.mark.parametrize(
    "origin", ["*", "*.example.org", "https://desk.example.org", "desk.example.org/x", "desk:http", "a:1:2", "desk:99999"]
)
def test_origins_are_exact(origin):
    with pytest.raises(ConfigError, match="origins: received"):
        check_address(Settings(origins=(origin,)))


def test_a_certificate_without_its_key_is_refused(tls):
    with pytest.raises(ConfigError, match="tls_key: received nothing"):
        check_address(Settings(tls_cert=tls["tls_cert"]))
    with pytest.raises(ConfigError, match="is no file"):
        check_address(Settings(tls_cert=tls["tls_cert"], tls_key=tls["tls_key"].with_name("none")))


@pytest.mark.skipif(os.name != "posix", reason="file modes")
def test_a_key_that_others_can_read_is_refused(tls):
    tls["tls_key"].chmod(0o644)
    with pytest.raises(ConfigError, match="chmod 600"):
        check_address(Settings(**tls))


@pytest.mark.parametrize(
    "secret", [secrets.token_urlsafe(32), secrets.token_hex(32), base64.b64encode(secrets.token_bytes(32)).decode(), SECRET]
)
def test_256_random_bits_are_enough(secret):
    check_cookie_secret(secret)


@pytest.mark.parametrize(
    "secret", ["", "secret", "a" * 64, "0123456789" * 8, secrets.token_hex(16), secrets.token_urlsafe(24), "1234" * 30, "9" * 100]
)
def test_a_short_or_patterned_secret_is_refused_and_not_quoted(secret):
    with pytest.raises(ConfigError, match="cookie_secret: received") as raised:
        check_cookie_secret(secret)
    assert len(secret) < 10 or secret not in str(raised.value)


def test_our_names_are_exact():
    assert hosts(Settings(), 5006) == {"127.0.0.1:5006", "localhost:5006", "[::1]:5006"}
    assert origins(Settings(), 5006) == {"http://127.0.0.1:5006", "http://localhost:5006", "http://[::1]:5006"}
    assert "localhost" in hosts(Settings(), 80)
    proxied = Settings(behind_proxy=True, origins="Desk.Example.org")
    assert "https://desk.example.org" in origins(proxied, 5006)
    assert "http://desk.example.org" not in origins(proxied, 5006)
