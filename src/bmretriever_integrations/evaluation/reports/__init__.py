"""What is shown: JSON, tables, Markdown, a chart."""
