"""Postgres: connections, migrations, and one typed module per file of `sql/queries`."""
