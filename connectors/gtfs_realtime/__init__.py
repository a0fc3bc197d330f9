"""GTFS-Realtime: where transit vehicles are, how their trips run, and what riders are told."""
