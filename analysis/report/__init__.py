"""One model of the report (`model`), rendered to HTML, Markdown and a terminal."""
