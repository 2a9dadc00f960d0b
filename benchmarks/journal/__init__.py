"""What a durable step costs, beside bare DBOS and LangGraph's checkpointer."""
