"""Everything that needs torch: architectures, loading and saving of artifacts, data, training, evaluation."""
