"""Durable runs: the journal with DBOS behind it, its leases, its routes and pages."""
