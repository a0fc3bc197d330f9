"""The host of all connectors: sockets, polls, frames, Kafka, spool; a connector's folder has none of these."""
