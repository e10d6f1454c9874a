"""Who somebody is and what that allows: viewer < trader < risk < admin, each may do what those before may.

Floor 1.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum
from typing import Literal

from workbench.errors import ConfigError, DoorError, choices


class Role(IntEnum):
    """What a caller may do. NOBODY has not said who it is: only log-in and liveness answer."""

    NOBODY = 0
    VIEWER = 1  # reads
    TRADER = 2  # acts within the limits
    RISK = 3  # sets the limits, stops trading
    ADMIN = 4  # changes how the workbench runs

    @property
    def word(self) -> str:
        """The role as people write it."""
        return self.name.lower()

    @classmethod
    def of(cls, word: str) -> Role:
        """Return the role of a word; ConfigError names the allowed ones."""
        known = {role.word: role for role in cls if role is not cls.NOBODY}
        if word not in known:
            raise ConfigError(f"role: received {choices(word, known)}")
        return known[word]


@dataclass(frozen=True, slots=True)
class Caller:
    """Whoever sent a request. `how`: by a session's cookie, by a token, from this machine without log-in, or not at all."""

    name: str
    role: Role
    how: Literal["session", "token", "local", "none"]

    def require(self, role: Role) -> None:
        """Pass, or raise DoorError when the caller's role is below `role`."""
        if self.role < role:
            raise DoorError(f"role: {self.name} is {self.role.word}; allowed: {role.word} and above")


NOBODY = Caller("nobody", Role.NOBODY, "none")
LOCAL = Caller("local", Role.ADMIN, "local")  # whoever uses this machine, where no password file is set
