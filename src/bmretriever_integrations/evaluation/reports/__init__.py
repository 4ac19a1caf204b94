"""Report results as JSON, as tables, as Markdown and as a chart."""
