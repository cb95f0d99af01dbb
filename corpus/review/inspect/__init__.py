"""Single documents of finished runs: found, shown with what was removed of them, followed through stages."""
