"""Between the socket and the rooms: the server process, the way from RSGI to ASGI, and routes and pages made from their descriptions."""
