"""A connector to copy: a line protocol of a few fields that uses every part of the contract once."""
