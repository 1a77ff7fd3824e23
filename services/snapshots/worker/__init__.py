"""The work behind snapshots: images are brought in, what is removed goes, the store keeps to the rows."""
