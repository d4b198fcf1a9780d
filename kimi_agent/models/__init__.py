"""How an endpoint is reached: `Model`, its implementations, and the profiles of what model families can do."""
