"""What commands share: options, printing, exit codes, sending commands and asking questions."""
