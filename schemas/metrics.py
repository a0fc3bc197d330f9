"""Every metric of CityOps, created here and nowhere else; each has a panel or a rule."""

from __future__ import annotations

from prometheus_client import Counter, Gauge, Histogram

SECONDS = (0.001, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0)

CONNECTOR_PACKETS = Counter("cityops_connector_packets", "Packets received.", ["connector"])
CONNECTOR_READINGS = Counter("cityops_connector_readings", "Readings decoded.", ["connector", "kind"])
CONNECTOR_REJECTS = Counter("cityops_connector_rejects", "Packets or parts refused, by reason.", ["connector", "reason"])
CONNECTOR_CONNECTIONS = Gauge("cityops_connector_connections", "Open connections.", ["connector"])
CONNECTOR_UP = Gauge("cityops_connector_up", "1 while the connector's health is live.", ["connector"])
CONNECTOR_RETRIES = Counter("cityops_connector_retries", "Fetches or starts tried again.", ["connector"])
FRAMES_PRODUCED = Counter("cityops_frames_produced", "Frames Kafka has confirmed.", ["topic"])
FRAME_ROWS = Histogram("cityops_frame_rows", "Rows of a produced frame.", ["topic"], buckets=(1, 5, 10, 50, 100, 250, 500, 1000))
SPOOL_BYTES = Gauge("cityops_spool_bytes", "Bytes of frames waiting on disk for Kafka.")
SPOOL_DROPPED = Counter("cityops_spool_refused", "Frames the full spool refused; their devices were not acknowledged.")

STREAM_FRAMES = Counter("cityops_stream_frames", "Frames an agent processed.", ["agent", "topic"])
STREAM_ROWS = Counter("cityops_stream_rows", "Rows an agent processed.", ["agent", "kind"])
STREAM_SKIPPED = Counter("cityops_stream_skipped_frames", "Frames seen before and skipped.", ["agent"])
STREAM_GAPS = Counter("cityops_stream_gaps", "Holes in the numbering of frames.", ["agent"])
STREAM_FENCED = Counter("cityops_stream_fenced", "Commits refused because another owner was ahead.", ["agent"])
STREAM_BATCH_SECONDS = Histogram("cityops_stream_batch_seconds", "Time to process one batch.", ["agent"], buckets=SECONDS)
STREAM_LAG = Gauge(
    "cityops_stream_lag_frames", "Frames between the newest and the next to process.", ["agent", "topic", "partition"]
)
STREAM_REJECTS = Counter("cityops_stream_rejected_rows", "Rows refused by clean, by reason.", ["kind", "reason"])
STREAM_DUPLICATES = Counter("cityops_stream_duplicate_rows", "Rows seen before.", ["kind"])
STREAM_LAYER_VERSION = Gauge("cityops_stream_layer_version", "Version of a reference layer in use, 0 for the default.", ["layer"])
FINDINGS = Counter("cityops_findings", "Findings, by rule and state.", ["rule", "state"])
ALERTS_OPEN = Gauge("cityops_alerts_open", "Alerts not resolved, by severity and status.", ["severity", "status"])

STORE_ROWS = Counter("cityops_store_rows", "Rows written to the database.", ["kind"])
STORE_SECONDS = Histogram("cityops_store_commit_seconds", "Time of one database transaction.", ["agent"], buckets=SECONDS)
STORE_RETRIES = Counter("cityops_store_retries", "Transactions tried again after a passing fault.")

GATEWAY_CLIENTS = Gauge("cityops_gateway_clients", "Open websockets.")
GATEWAY_SENT_BYTES = Counter("cityops_gateway_sent_bytes", "Bytes pushed over websockets.", ["traffic"])
GATEWAY_DROPPED = Counter("cityops_gateway_dropped_clients", "Websockets closed by us, by reason.", ["reason"])
GATEWAY_ENTITIES = Gauge("cityops_gateway_entities", "Sources on the live map.", ["kind"])
GATEWAY_DATA_AGE = Gauge("cityops_gateway_data_age_seconds", "Age of the newest reading shown.")
GATEWAY_COMMANDS = Counter("cityops_gateway_commands", "Alert commands, by outcome.", ["action", "outcome"])
GATEWAY_LOGINS = Counter("cityops_gateway_logins", "Log-ins, by outcome.", ["outcome"])
GATEWAY_REQUESTS = Histogram("cityops_gateway_request_seconds", "Time of HTTP requests.", ["route", "status"], buckets=SECONDS)
