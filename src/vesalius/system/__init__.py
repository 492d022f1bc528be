"""What the machine gives: files, packaged weights, worker processes, folder manifests."""
