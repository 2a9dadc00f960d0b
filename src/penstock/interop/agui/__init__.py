"""AG-UI 1.0 (https://docs.ag-ui.com): an agent's run as a stream of events for a user interface."""
