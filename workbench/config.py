"""Settings: what a person may choose before the workbench starts, and the only place that reads the environment.

In: keyword arguments, environment variables `WORKBENCH_<NAME>`, one optional TOML file; in this order of precedence. Keys are
also taken from the variables that the providers' own documents name (`POLYGON_API_KEY`, `MASSIVE_API_KEY`, `ALPACA_API_KEY`,
…). Out: one frozen `Settings`. A name that does not exist is an error with the nearest one that does, never ignored: a
misspelt `WORKBENCH_SORUCE` would otherwise trade on the simulated market. Keys are masked in every text form.

Floor 0: pydantic-settings and platformdirs.
"""

from __future__ import annotations

import os
import re
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal, get_args

import platformdirs
from pydantic import AliasChoices, Field, SecretStr, ValidationError, field_validator, model_validator
from pydantic_settings import BaseSettings, InitSettingsSource, NoDecode, PydanticBaseSettingsSource, SettingsConfigDict

from workbench.errors import ConfigError, WorkbenchError, choices
from workbench.sessions import Anchor
from workbench.types import check_symbol

ENV_PREFIX = "WORKBENCH_"
CONFIG_VARIABLE = "WORKBENCH_CONFIG"

Provider = Literal["polygon", "massive", "alpaca"]  # live ones, that need a key
SOURCES = ("simulated", "replay", *get_args(Provider), "hub://host:port")
HUB_ADDRESS = re.compile(r"hubs?://([\w.-]+|\[[0-9a-fA-F:]+\])(:\d{1,5})?/?")
Feed = Literal["delayed", "realtime"]


def default_data_dir() -> Path:
    """Return the platform's folder for one user's data (on Linux ~/.local/share/workbench)."""
    return Path(platformdirs.user_data_dir("workbench", appauthor=False))


def config_path(environ: Mapping[str, str] | None = None) -> Path:
    """Return where the TOML file is looked for: $WORKBENCH_CONFIG, else config.toml in the platform's configuration folder."""
    named = (os.environ if environ is None else environ).get(CONFIG_VARIABLE, "").strip()
    return Path(named).expanduser() if named else Path(platformdirs.user_config_dir("workbench", appauthor=False)) / "config.toml"


def _key(*variables: str) -> Any:
    """Return a secret field that is also read from the providers' own variables."""
    name = variables[0].lower()
    aliases = AliasChoices(name, ENV_PREFIX + name, *variables)
    return Field(default=None, repr=False, validation_alias=aliases, description=f"also read from {' or '.join(variables)}")


class Settings(BaseSettings):
    """Everything that can be chosen before the start. Frozen; ConfigError names the setting, what it received, what is allowed."""

    model_config = SettingsConfigDict(
        env_prefix=ENV_PREFIX, frozen=True, extra="forbid", env_ignore_empty=True, populate_by_name=True, validate_default=True
    )

    source: str = Field(
        "simulated", description="where market data comes from: simulated, replay, a provider, or the hub at hub://host:port"
    )
    fallback: Provider | None = Field(None, description="second provider, which takes over while the first is stale or refused")
    cross_check: Provider | None = Field(None, description="second provider, whose closed minutes are compared with those shown")
    symbols: Annotated[tuple[str, ...], NoDecode] = Field(
        ("SPY", "QQQ", "IWM", "AAPL", "MSFT", "NVDA", "AMD", "TSLA"),
        min_length=1,
        description="watched at the start; in the environment separated by commas",
    )
    seed: int = Field(7, ge=0, description="of the simulated market; the same seed gives the same market")
    speed: float = Field(1.0, ge=0.1, le=1000, description="market seconds per real second (simulated, replay)")
    replay_path: Path | None = Field(None, description="file or folder that the replay source plays")
    data_dir: Path = Field(default_factory=default_data_dir, description="where bars, drawings and watchlists are kept")
    feed: Feed = Field("delayed", description="which of the provider's feeds the plan includes")
    websocket_base: str | None = Field(None, pattern=r"^wss?://[^\s/]+$", description="other live address, as wss://host[:port]")
    rest_base: str | None = Field(None, pattern=r"^https?://\S+$", description="other history address, as https://host[:port]")
    alpaca_stock_feed: Literal["iex", "sip"] = Field("iex", description="which of Alpaca's stock feeds the plan includes")
    alpaca_option_feed: Literal["indicative", "opra"] = Field("indicative", description="which of Alpaca's option feeds the plan includes")
    alpaca_stream_base: str | None = Field(None, pattern=r"^wss?://[^\s/]+$", description="Alpaca's live address, as wss://host[:port]")
    alpaca_rest_base: str | None = Field(None, pattern=r"^https?://\S+$", description="Alpaca's history address, as https://host[:port]")
    capacity: int = Field(5000, ge=100, le=1_000_000, description="bars kept in memory per symbol and timeframe")
    grace_s: float = Field(2.0, ge=0, le=60, description="how long a minute waits for late prints before it closes [s]")
    anchor_4h: Anchor = Field("session_rth", description="where 4-hour bars start")
    record: bool = Field(False, description="whether every event is recorded, accepted and quarantined ones alike")
    log_json: bool = Field(False, description="whether the log is written as JSON, one object a line")
    host: str = Field("127.0.0.1", description="address to serve on; any but this machine's own needs TLS or a proxy, and a log-in")
    port: int = Field(5006, ge=0, le=65535, description="port of the desk; 0 takes a free one")
    api_port: int = Field(5007, ge=0, le=65535, description="port of the hub's API; 0 takes a free one")
    session_cap: int = Field(20, ge=1, le=500, description="browser tabs served at once; one more is told so")
    password_file: Path | None = Field(None, description="file of salted hashes that says who may log in")
    tls_cert: Path | None = Field(None, description="certificate chain (PEM) to serve with")
    tls_key: Path | None = Field(None, description="its private key (PEM)")
    behind_proxy: bool = Field(False, description="whether a proxy on the way here does TLS")
    origins: Annotated[tuple[str, ...], NoDecode] = Field((), description="other addresses in the browser's address bar, as host[:port]")
    polygon_api_key: SecretStr | None = _key("POLYGON_API_KEY")
    massive_api_key: SecretStr | None = _key("MASSIVE_API_KEY")
    alpaca_api_key: SecretStr | None = _key("ALPACA_API_KEY", "APCA_API_KEY_ID")
    alpaca_secret_key: SecretStr | None = _key("ALPACA_SECRET_KEY", "APCA_API_SECRET_KEY")
    cookie_secret: SecretStr | None = Field(None, repr=False, description="signs log-ins; at least 32 random bytes as text")
    hub_token: SecretStr | None = Field(None, repr=False, description="token to attach to a hub that asks for one")

    def __init__(self, **values: Any) -> None:
        _check_variables(os.environ)
        try:
            super().__init__(**values)
        except ValidationError as error:
            raise ConfigError(_explain(error)) from None

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,  # noqa: ARG003 - the signature is pydantic's
        file_secret_settings: PydanticBaseSettingsSource,  # noqa: ARG003
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """Rank the sources: arguments, environment, TOML file."""
        return init_settings, env_settings, InitSettingsSource(settings_cls, _read_toml(os.environ))

    @field_validator("symbols", "origins", mode="before")
    @classmethod
    def _split_symbols(cls, value: object) -> object:
        if isinstance(value, str):
            return tuple(part for part in value.replace(",", " ").split() if part)
        return value

    @field_validator("symbols")
    @classmethod
    def _check_symbols(cls, symbols: tuple[str, ...]) -> tuple[str, ...]:
        return tuple(dict.fromkeys(check_symbol(symbol) for symbol in symbols))

    @field_validator("source")
    @classmethod
    def _check_source(cls, source: str) -> str:
        if source.startswith(("hub://", "hubs://")):
            if not HUB_ADDRESS.fullmatch(source):
                raise ConfigError(f"source: received {source!r}; allowed: hub://host:port, or hubs:// through TLS")
        elif source not in SOURCES[:-1]:
            raise ConfigError(f"source: received {choices(source, SOURCES)}")
        return source

    @field_validator("data_dir", "replay_path", "password_file", "tls_cert", "tls_key")
    @classmethod
    def _expand(cls, path: Path | None) -> Path | None:
        return None if path is None else path.expanduser()

    @model_validator(mode="after")
    def _need_what_the_source_needs(self) -> Settings:
        if self.source == "replay" and self.replay_path is None:
            raise ConfigError("replay_path: received nothing; allowed: a .parquet, .csv or .csv.gz file, or a folder of them")
        for role, provider in (("source", self.source), ("fallback", self.fallback), ("cross_check", self.cross_check)):
            if provider == "alpaca":
                self.alpaca_keys()
            elif provider in get_args(Provider):
                self.key_for(str(provider))
            if role != "source" and provider is not None and provider == self.source:
                raise ConfigError(f"{role}: received {provider!r}, which is the source itself; allowed: another provider")
            if role != "source" and provider is not None and self.source not in get_args(Provider):
                raise ConfigError(f"{role}: received {provider!r} beside source {self.source!r}; allowed: beside a live provider only")
        return self

    @property
    def is_attached(self) -> bool:
        """True where the source is a hub in another process."""
        return self.source.startswith(("hub://", "hubs://"))

    def key_for(self, source: str) -> str:
        """Return the key of a provider in clear text, for the moment of connecting only; ConfigError when there is none.

        Polygon and Massive are one provider under two names: either key serves both.
        """
        pairs = {
            "polygon": (self.polygon_api_key, self.massive_api_key),
            "massive": (self.massive_api_key, self.polygon_api_key),
            "alpaca": (self.alpaca_api_key,),
        }
        if source not in pairs:
            raise ConfigError(f"source: received {choices(source, pairs)}")
        for key in pairs[source]:
            if key is not None and key.get_secret_value().strip():
                return key.get_secret_value().strip()
        variable = f"{source.upper()}_API_KEY"
        raise ConfigError(f"{source}_api_key: received nothing; allowed: your key in {variable} (the simulated source needs none)")

    def alpaca_keys(self) -> tuple[str, str]:
        """Return Alpaca's key and secret in clear text, for the moment of connecting only; ConfigError when one is missing."""
        key = self.key_for("alpaca")
        secret = self.alpaca_secret_key.get_secret_value().strip() if self.alpaca_secret_key is not None else ""
        if not secret:
            raise ConfigError("alpaca_secret_key: received nothing; allowed: your secret in ALPACA_SECRET_KEY, beside ALPACA_API_KEY")
        return key, secret

    def secrets(self) -> tuple[str, ...]:
        """Return every key in clear text, for masking them where text leaves the program."""
        values = (getattr(self, name) for name in setting_names())
        return tuple(value.get_secret_value() for value in values if isinstance(value, SecretStr))


def setting_names() -> tuple[str, ...]:
    """Return the names of all settings, in the order in which they are declared."""
    return tuple(Settings.model_fields)


def is_secret(name: str) -> bool:
    """Return whether a setting (or a provider's own variable, in lower case) holds a key, whose value is never quoted."""
    field = Settings.model_fields.get(name)
    return "SecretStr" in str(field.annotation) if field is not None else name.startswith(("apca_", "alpaca_"))


def _check_variables(environ: Mapping[str, str]) -> None:
    """Refuse a WORKBENCH_ variable that is no setting."""
    allowed = [ENV_PREFIX + name.upper() for name in setting_names()] + [CONFIG_VARIABLE]
    for name in sorted(environ):
        if name.upper().startswith(ENV_PREFIX) and name.upper() not in allowed:
            raise ConfigError(f"environment variable: received {choices(name, allowed)}")


def _read_toml(environ: Mapping[str, str]) -> dict[str, Any]:
    """Return the settings in the TOML file, {} when there is none; ConfigError when it can't be read or names what does not exist."""
    path = config_path(environ)
    if not path.is_file():
        if environ.get(CONFIG_VARIABLE, "").strip():
            raise ConfigError(f"{CONFIG_VARIABLE}: received {str(path)!r}, which is no file; allowed: a TOML file, or leave it unset")
        return {}
    try:
        values = tomllib.loads(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise ConfigError(f"{path}: can't be read as TOML: {error}") from None
    for name in values:
        if name not in Settings.model_fields:
            raise ConfigError(f"{path}: received setting {choices(name, setting_names())}")
    return values


def _explain(error: ValidationError) -> str:
    """Return pydantic's complaints in this package's words; a key is never quoted."""
    return "; ".join(_explain_one(dict(item)) for item in error.errors(include_url=False))


def _explain_one(item: dict[str, Any]) -> str:
    name = str(item["loc"][0]).lower().removeprefix(ENV_PREFIX.lower()) if item["loc"] else "settings"
    if item["type"] == "extra_forbidden":
        return f"setting: received {choices(name, setting_names())}"
    if is_secret(name):
        return f"{name}: received something that is no text; allowed: the key as text"
    if item["type"] == "literal_error":
        return f"{name}: received {choices(item['input'], get_args(Settings.model_fields[name].annotation))}"
    if item["type"] == "string_pattern_mismatch":
        return f"{name}: received {item['input']!r}; allowed: {Settings.model_fields[name].description}"
    if Settings.model_fields[name].annotation in (int, float):
        return f"{name}: received {item['input']!r}; allowed: {_numbers(name)}"
    inner = item.get("ctx", {}).get("error")
    if isinstance(inner, WorkbenchError):
        return f"{name}: {inner}"
    return f"{name}: received {item['input']!r}; allowed: {_lower_first(str(item['msg']).removeprefix('Input should be '))}"


def _numbers(name: str) -> str:
    """Return which numbers a setting takes: 'a number from 0.1 to 1000'."""
    field = Settings.model_fields[name]
    low, high = (next((getattr(m, side) for m in field.metadata if hasattr(m, side)), None) for side in ("ge", "le"))
    kind = "a whole number" if field.annotation is int else "a number"
    return kind + (f" from {low:g}" if low is not None else "") + (f" to {high}" if high is not None else "")


def _lower_first(text: str) -> str:
    return text[:1].lower() + text[1:]
