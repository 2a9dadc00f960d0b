"""A clerk who keeps the CRM: from a note on a call with a customer to the contact, the deal and the next step."""
