"""What a container of one room needs besides the room."""
