"""The chat page: Streamlit in front, HTTP behind; it keeps nothing that a reload would lose."""

URL, KEY = "VESALIUS_API_URL", "VESALIUS_API_KEY"
"""Environment: the service, and the page's key for it."""
HEADER = "VESALIUS_WEB_USER_HEADER"
"""Environment: the header in which a trusted proxy says who has signed in."""
HOSTS = "VESALIUS_WEB_HOSTS"
"""Environment: the names it may be called by, with commas; on loopback its own by default."""
