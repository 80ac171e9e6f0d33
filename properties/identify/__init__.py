"""Which dialect a subject speaks, and what rules the others out."""
