"""A support desk: from a customer's ticket to a refund that two have agreed to, and a mail that says so."""
