"""The verification report: a document, its figures, and the pages made of them."""
