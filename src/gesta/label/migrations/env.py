"""What Alembic runs for every command: the steps, on the connection that `migrate` holds."""

from __future__ import annotations

from alembic import context

from gesta.label.sql_tables import metadata


def run_steps() -> None:
    """Run the steps inside the transaction that is already open."""
    context.configure(connection=context.config.attributes["connection"], target_metadata=metadata)
    with context.begin_transaction():
        context.run_migrations()


# Alembic loads this file under this name; whoever else imports it has no steps to run.
if __name__ == "env_py":
    run_steps()
