"""The kit for connectors: make one, test it, explain a packet byte by byte, run it without Kafka."""
