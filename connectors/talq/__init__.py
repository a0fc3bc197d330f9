"""TALQ: streetlight gateways report lamps, meters and photocells to the platform as their central management software."""
