"""Events on their way out: what they say, where they wait, who takes them."""
