"""How the processes speak to each other."""
