"""Settings: what is chosen, from where, and how a slip is told."""

from __future__ import annotations

import pytest

from workbench.config import Settings, setting_names
from workbench.errors import ConfigError


def write(tmp_path, monkeypatch, text):
    path = tmp_path / "settings.toml"
    path.write_text(text)
    monkeypatch.setenv("WORKBENCH_CONFIG", str(path))
    return path


def test_the_default_needs_no_key_and_serves_on_loopback_only(monkeypatch):
    monkeypatch.delenv("POLYGON_API_KEY")
    settings = Settings()
    assert (settings.source, settings.host, settings.port) == ("simulated", "127.0.0.1", 5006)
    assert settings.polygon_api_key is None


def test_settings_are_frozen():
    with pytest.raises(ValueError, match="frozen"):
        Settings().port = 1


def test_arguments_win_over_the_environment_and_the_environment_over_the_file(tmp_path, monkeypatch):
    write(tmp_path, monkeypatch, "port = 1\nseed = 1\nspeed = 1.5\n")
    monkeypatch.setenv("WORKBENCH_PORT", "2")
    monkeypatch.setenv("WORKBENCH_SEED", "2")
    settings = Settings(port=3)
    assert (settings.port, settings.seed, settings.speed) == (3, 2, 1.5)


def test_symbols_in_the_environment_are_separated_by_commas(monkeypatch):
    monkeypatch.setenv("WORKBENCH_SYMBOLS", "SPY, BRK.B,SPY")
    assert Settings().symbols == ("SPY", "BRK.B")


@pytest.mark.parametrize(
    ("values", "parts"),
    [
        ({"port": -1}, ["port", "-1", "0"]),
        ({"speed": 0}, ["speed", "0", "0.1"]),
        ({"speed": "nan"}, ["speed", "'nan'", "a number from 0.1 to 1000"]),
        ({"speed": float("nan")}, ["speed", "nan", "a number from 0.1 to 1000"]),
        ({"speed": "inf"}, ["speed", "'inf'", "a number from 0.1 to 1000"]),
        ({"speed": "abc"}, ["speed", "'abc'", "a number from 0.1 to 1000"]),
        ({"grace_s": "-inf"}, ["grace_s", "'-inf'", "a number from 0 to 60"]),
        ({"port": "x"}, ["port", "'x'", "a whole number from 0 to 65535"]),
        ({"port": 5006.5}, ["port", "5006.5", "a whole number from 0 to 65535"]),
        ({"capacity": 2_000_000}, ["capacity", "2000000", "a whole number from 100 to 1000000"]),
        ({"seed": None}, ["seed", "None", "a whole number from 0"]),
        ({"source": "polygn"}, ["source", "'polygn'", "did you mean 'polygon'", "replay"]),
        ({"sorce": "x"}, ["'sorce'", "did you mean 'source'"]),
        ({"symbols": ["S P Y"]}, ["symbols", "'S P Y'", "allowed"]),
        ({"symbols": []}, ["symbols", "at least 1"]),
        ({"rest_base": "example"}, ["rest_base", "'example'", "https://"]),
        ({"source": "replay"}, ["replay_path", "nothing", ".parquet"]),
    ],
)
def test_a_wrong_setting_names_itself_what_came_and_what_is_allowed(values, parts):
    with pytest.raises(ConfigError) as raised:
        Settings(**values)
    assert all(part in str(raised.value) for part in parts), str(raised.value)


def test_a_misspelt_variable_is_refused_with_the_nearest_name(monkeypatch):
    monkeypatch.setenv("WORKBENCH_SORUCE", "polygon")
    with pytest.raises(ConfigError, match="did you mean 'WORKBENCH_SOURCE'"):
        Settings()


def test_a_misspelt_line_of_the_file_is_refused_with_the_nearest_name(tmp_path, monkeypatch):
    write(tmp_path, monkeypatch, "prot = 5007\n")
    with pytest.raises(ConfigError, match="did you mean 'port'"):
        Settings()


def test_a_file_that_is_no_toml_is_refused_with_its_path(tmp_path, monkeypatch):
    path = write(tmp_path, monkeypatch, "port: 5007")
    with pytest.raises(ConfigError, match=path.name):
        Settings()


def test_a_configuration_file_that_is_missing_is_refused(tmp_path, monkeypatch):
    monkeypatch.setenv("WORKBENCH_CONFIG", str(tmp_path / "none.toml"))
    with pytest.raises(ConfigError, match="no file"):
        Settings()


@pytest.mark.parametrize("variable", ["POLYGON_API_KEY", "WORKBENCH_POLYGON_API_KEY"])
def test_a_key_is_read_from_the_providers_variable_too(monkeypatch, variable):
    monkeypatch.delenv("POLYGON_API_KEY")
    monkeypatch.setenv(variable, "abc")
    assert Settings(source="polygon").key_for("polygon") == "abc"


def test_polygon_and_massive_take_each_others_key(monkeypatch):
    monkeypatch.delenv("POLYGON_API_KEY")
    assert Settings(source="massive", polygon_api_key="abc").key_for("massive") == "abc"
    assert Settings(source="polygon", massive_api_key="abc").key_for("polygon") == "abc"


def test_a_missing_key_says_which_variable_to_set(monkeypatch):
    monkeypatch.delenv("POLYGON_API_KEY")
    with pytest.raises(ConfigError, match="POLYGON_API_KEY"):
        Settings(source="polygon")


def test_an_empty_key_is_a_missing_key(monkeypatch):
    monkeypatch.setenv("POLYGON_API_KEY", " ")
    with pytest.raises(ConfigError, match="received nothing"):
        Settings(source="polygon")


def test_no_text_form_of_the_settings_shows_a_key(canary):
    settings = Settings()
    assert settings.key_for("polygon") == canary[0]
    said = f"{settings} {settings!r} {settings.model_dump()} {settings.model_dump_json()} {vars(settings)}"
    assert not any(form in said for form in canary)


def test_a_refused_setting_never_quotes_a_key(canary):
    with pytest.raises(ConfigError) as raised:
        Settings(polygon_api_key=[canary[0]], port=-1)
    assert not any(form in str(raised.value) for form in canary)


def test_every_setting_is_described():
    assert [name for name in setting_names() if not Settings.model_fields[name].description] == []


@pytest.mark.parametrize("address", ["hub://127.0.0.1:5007", "hub://localhost", "hubs://desk.example:443"])
def test_a_hub_is_a_source_by_its_address(address):
    assert Settings(source=address).source == address


@pytest.mark.parametrize(
    ("values", "parts"),
    [
        ({"source": "hub://a b"}, ["source", "'hub://a b'", "hub://host:port"]),
        ({"source": "alpaca"}, ["alpaca_api_key", "nothing", "ALPACA_API_KEY"]),
        ({"source": "alpaca", "alpaca_api_key": "k" * 8}, ["alpaca_secret_key", "nothing", "ALPACA_SECRET_KEY"]),
        ({"fallback": "alpaca", "source": "polygon"}, ["alpaca_api_key", "nothing"]),
        ({"source": "polygon", "fallback": "polygon"}, ["fallback", "'polygon'", "another provider"]),
        ({"fallback": "polygon"}, ["fallback", "'polygon'", "'simulated'", "live provider"]),
    ],
)
def test_a_second_provider_needs_its_keys_and_a_first_one(values, parts):
    with pytest.raises(ConfigError) as raised:
        Settings(**values)
    assert all(part in str(raised.value) for part in parts), str(raised.value)
