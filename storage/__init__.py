"""TimescaleDB: migrations, the writer, checkpoints and queries."""
