"""The live socket: sends events over a WebSocket, filtered, without slowing down the gateway."""
