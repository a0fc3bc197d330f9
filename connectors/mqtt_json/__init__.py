"""Any vendor's JSON over MQTT, read as a profile says."""
