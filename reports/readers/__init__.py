"""Reading back what rmspec wrote."""
