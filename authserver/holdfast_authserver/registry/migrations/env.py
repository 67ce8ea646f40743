"""Run by Alembic on the connection that `migrate` hands over; there is no other way to run it."""

from alembic import context

from holdfast_authserver.registry.tables import metadata

context.configure(connection=context.config.attributes["connection"], target_metadata=metadata, render_as_batch=True)
with context.begin_transaction():
    context.run_migrations()
