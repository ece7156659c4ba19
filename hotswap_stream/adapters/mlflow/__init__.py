"""Where MLflow keeps models: folders, S3, tracking servers; and the process that makes graphs of them."""
