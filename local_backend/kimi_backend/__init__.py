"""The local backend of kimi-agent: engines that run on machines of one's own."""
