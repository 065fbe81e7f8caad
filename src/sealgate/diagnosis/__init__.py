"""What is wrong with an installation: checks of versions, certificates, clocks, objects and services."""
