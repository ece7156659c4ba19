"""The inference worker: requests → batches → a forward pass → answers, and swaps when promotion events arrive."""
