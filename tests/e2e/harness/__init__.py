"""Runs the real tallyd against a real PostgreSQL and keeps the books that its figures are compared with."""
