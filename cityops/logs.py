"""Logs: one JSON object a line for processes, short lines on stderr for people."""

from __future__ import annotations

import logging
import sys
from typing import Any

import structlog

NOISY = {
    "kafka": logging.CRITICAL,
    "aiokafka": logging.ERROR,
    "asyncio": logging.WARNING,
    "mode": logging.WARNING,
    "asyncua": logging.CRITICAL,
    "faust": logging.WARNING,
}
"""Libraries that tell every step, or repeat an error that our own messages tell many times a second."""


def configure(*, process: bool) -> None:
    """Send structlog's and the standard library's records the same way: JSON to stdout for a process, else text to stderr."""
    shared: list[Any] = [
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
    ]
    structlog.configure(
        processors=[*shared, structlog.stdlib.ProcessorFormatter.wrap_for_formatter],
        wrapper_class=structlog.make_filtering_bound_logger(logging.INFO if process else logging.WARNING),
        logger_factory=structlog.stdlib.LoggerFactory(),
        cache_logger_on_first_use=True,
    )
    last: list[Any] = (
        [structlog.processors.format_exc_info, structlog.processors.JSONRenderer(ensure_ascii=False)]
        if process
        else [structlog.dev.ConsoleRenderer(colors=sys.stderr.isatty())]
    )
    handler = logging.StreamHandler(sys.stdout if process else sys.stderr)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=shared, processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, *last]
        )
    )
    logging.root.handlers = [handler]
    logging.root.setLevel(logging.INFO if process else logging.WARNING)
    for name, level in NOISY.items():
        logging.getLogger(name).setLevel(level)
