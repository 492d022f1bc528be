"""A data set as an audit sees it: one pass over its cases, and what each check says of them."""
