"""DL/T 698.45: electricity meters and concentrators, object oriented, over TCP."""
