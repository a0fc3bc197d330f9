"""Lock and unlock events that operators of shared bikes push."""
