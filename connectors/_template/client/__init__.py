"""A client of our own: what ``cityops connector new --transport client`` writes beside the decoder of documents."""
