"""What every process needs and no context owns."""
