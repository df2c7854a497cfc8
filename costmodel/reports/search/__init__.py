"""What a search among designs found."""
