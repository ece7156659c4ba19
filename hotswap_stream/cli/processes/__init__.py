"""Commands that start, watch or reset processes and topics."""
