"""Lines of text: what ``cityops connector new --text`` writes."""
