"""What happens, told as it happens: over a WebSocket, filtered, never at the cost of the gateway."""
