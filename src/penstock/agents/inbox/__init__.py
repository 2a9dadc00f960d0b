"""What agents want to do and may not do alone: who has to agree, the requests to them, and what they said."""
