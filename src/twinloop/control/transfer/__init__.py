"""Carries what a tenant has, row by row with ids and times, into a folder or out of one, or in from another system."""
