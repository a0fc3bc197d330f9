"""Tables of legacy databases, read page by page behind a watermark: PostgreSQL and SQLite."""
