"""The page: clauses, dialects and their switches, the pseudocode, constructors, and the words for them."""
