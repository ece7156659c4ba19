"""The artifact store on a local folder, on S3, and in memory: one implementation over obstore."""
