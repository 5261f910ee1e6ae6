"""Reports: summary, tables, figures, pages in HTML and Markdown, and TensorBoard boards."""
