"""Live events: what happens in an organization, told to who listens over the socket that the published clients open."""
