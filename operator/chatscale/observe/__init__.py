"""What is happening: pods as the API server reports them, load as their metrics report it. Decides nothing."""
