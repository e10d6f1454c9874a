"""A token goes where nobody on the way can read it."""

from __future__ import annotations

import pytest

from workbench.errors import ConfigError
from workbench.hub.remote.service import Address


def test_a_token_is_not_sent_in_plain_text_to_another_machine():
    for text in ("hub://192.0.2.7:5007", "hub://desk.example", "hub://[2001:db8::1]:5007"):
        with pytest.raises(ConfigError, match="hubs://") as refused:
            Address(text, "wb_canary")
        assert "canary" not in str(refused.value)
    for text in ("hub://127.0.0.1:5007", "hub://localhost", "hub://[::1]:5007", "hubs://desk.example"):
        Address(text, "wb_canary")
    Address("hub://192.0.2.7:5007")
