"""What surrounds a flow run: process settings, Prefect's server, session, states and tags."""
