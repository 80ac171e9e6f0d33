"""What the page says: clauses, dialects, the pseudocode, constructors' defaults, and the words for them."""
