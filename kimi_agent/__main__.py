"""`python -m kimi_agent`."""

from kimi_agent.cli import main

main()
