"""Words every layer shares: ids, digests, time, errors, events and settings. Imports nothing of Twinloop."""
