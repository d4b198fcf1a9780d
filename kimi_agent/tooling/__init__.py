"""From a function to a `Tool`, from tools to a `Toolset`, from a model's call to its result."""
