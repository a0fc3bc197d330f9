"""The live picture: newest value of every source, open alerts, and the websockets that show them."""
