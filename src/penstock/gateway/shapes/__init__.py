"""The wire shapes that clients and providers speak: reading, re-emitting, watching and translating them."""
