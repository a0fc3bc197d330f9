"""Detector and link tables of the traffic police: CSV or JSON lines, a row per detector or a column per detector."""
