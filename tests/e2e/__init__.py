"""Promises, kept by the whole system: started as a user starts it, driven from outside."""
