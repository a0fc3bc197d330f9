"""GBFS: shared bikes and their stations, JSON documents polled over HTTP."""
