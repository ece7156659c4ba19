"""Pictures as SVG text, drawn without a drawing library."""
