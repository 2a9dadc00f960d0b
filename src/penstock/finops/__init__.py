"""What it cost: prices, the ledger, and budgets that hold before the money is spent."""
