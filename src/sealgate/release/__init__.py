"""The installed release, as the chart describes it: its webhook configurations, and what keeps them from working."""
