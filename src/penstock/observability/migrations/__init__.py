"""The numbered changes of this capability's tables."""
