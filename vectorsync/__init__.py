"""What a site remembers: embedding records in logs, kept equal between nodes and searched on each."""
