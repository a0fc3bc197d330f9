"""Sparkplug B: edge nodes and their devices over MQTT, with birth, death and sequence."""
