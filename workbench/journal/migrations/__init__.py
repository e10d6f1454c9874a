"""The journal's schema, version by version. `upgrade` brings a database to the newest in one transaction. Floor 6: alembic."""

from __future__ import annotations

from pathlib import Path

import sqlalchemy as sa
from alembic.config import Config
from alembic.runtime.environment import EnvironmentContext
from alembic.script import ScriptDirectory

from workbench.errors import JournalError

HERE = Path(__file__).parent
TABLE = "journal_version"


def upgrade(connection: sa.Connection) -> None:
    """Make the tables, or bring them up to date; all or nothing. JournalError for a journal that a newer program has written."""
    config = Config()
    config.set_main_option("script_location", str(HERE))
    scripts = ScriptDirectory.from_config(config)
    with connection.begin():
        present = EnvironmentContext(config, scripts)
        present.configure(connection=connection, version_table=TABLE)
        found = present.get_context().get_current_heads()
        known = {revision.revision for revision in scripts.walk_revisions()}
        unknown = set(found) - known
        if unknown:
            newest = scripts.get_current_head()
            raise JournalError(
                f"journal: received schema {', '.join(sorted(unknown))}; allowed: up to {newest}. It needs a newer workbench"
            )
        if set(found) == set(scripts.get_heads()):
            return
        with EnvironmentContext(config, scripts, fn=lambda revision, _context: scripts._upgrade_revs("head", revision)) as context:
            context.configure(connection=connection, version_table=TABLE)
            context.run_migrations()
