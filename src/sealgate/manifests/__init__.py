"""Policy files and objects: loaded, validated, and compiled to a policy set."""
