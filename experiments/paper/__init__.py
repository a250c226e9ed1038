"""The article: `article.typ`, typeset with every number read from a committed table."""
