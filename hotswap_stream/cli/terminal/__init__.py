"""What commands share: options, printing, exit codes, orders and questions."""
