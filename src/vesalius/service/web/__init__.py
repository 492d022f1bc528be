"""The chat page: Streamlit in front, HTTP behind; it keeps nothing that a reload would lose."""
