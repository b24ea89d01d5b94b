"""What an encoder costs, before it is built: parameters, floating-point operations, activation memory."""
