"""HJ 212: environmental monitoring stations (dust, air, noise, water), text frames over TCP."""
