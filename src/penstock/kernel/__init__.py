"""What walks through the house and what every room may rely on; imports nothing of ours."""
