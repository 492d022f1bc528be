"""Models behind a server: OpenAI's chat completions, spoken by one client."""
