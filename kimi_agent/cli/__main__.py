"""`python -m kimi_agent.cli`."""

from kimi_agent.cli import main

main()
