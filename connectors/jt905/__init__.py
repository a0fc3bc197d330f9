"""JT/T 905: taxi terminals (ISU) with meter trips and duty over TCP."""
