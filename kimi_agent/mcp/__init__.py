"""The Model Context Protocol, both ways: `client` brings a server's tools into an agent, `server` makes tools and agents a server."""
