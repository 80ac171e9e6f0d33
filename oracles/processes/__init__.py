"""The processes of this machine: those below one of them, and the limits of the container around them."""
